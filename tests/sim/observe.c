/* SPDX-License-Identifier: BSD-2-Clause */
/* observe.c - which structural events a step brought about */
#include <stdio.h>

#include "sim/world.h"
#include "store/engine.h"

static const char *const name[EVENTS] = {
	[EV_SPLIT] = "split",
	[EV_DOUBLE] = "doubling",
	[EV_JOIN] = "join",
	[EV_HALVE] = "halving",
	[EV_SPILL] = "promotion-at-three",
	[EV_PROMOTE] = "promotion-at-threshold",
	[EV_DEMOTE] = "demotion",
	[EV_SWEEP] = "sweep",
	[EV_SWEEP_CUT] = "sweep-over-commit",
	[EV_FLUSH] = "flush",
	[EV_FULL] = "full-log",
	[EV_WRAP] = "log-wrap",
	[EV_BATCH_WRAP] = "batch-over-wrap",
	[EV_COMMIT] = "checkpoint",
	[EV_COLLECT] = "collection",
	[EV_SEGMENT] = "segment",
	[EV_PUNCH] = "punch",
	[EV_GENERATION] = "generation",
	[EV_SPANS] = "spans-merged",
	[EV_COUNT] = "count",
	[EV_TXN] = "transaction",
	[EV_MOVE] = "move",
	[EV_RUN_MERGE] = "runs-merged",
};

const char *event_name(int e)
{
	return name[e];
}

/* What is there now; all but the packed bytes and the depth only grow. */
static void look(struct world *w, struct observed *o)
{
	struct cidstore *s = w->s;
	const struct cid_view *v = cid_view_now(s);
	uint32_t segments = 0;

	for (int k = 0; k < CID_POOLS; k++)
		segments += atomic_load(&s->pool[k].segments);
	*o = (struct observed){
		.splits = s->c.splits,
		.joins = s->c.merges,
		.run_merges = s->c.run_merges,
		.promotions = s->c.promotions,
		.demotions = s->c.demotions,
		.sweeps = s->c.sweeps,
		.sweeping = s->sweep.upto,
		.flushes = s->c.flushes,
		.commits = s->c.checkpoints,
		.collected = s->root.deletion_tail,
		.txns = s->c.txns,
		.laps = cidstore_last_seq(s) / s->root.log_records,
		.segments = segments,
		.depth = v->dir->depth,
		.spans = s->root.log_spans,
		.punches = w->disk->punches,
	};
	for (uint32_t i = 0; i < v->nruns; i++)
		o->counted += v->run[i]->slot.depth & CID_SLOT_COUNTED;
	for (uint64_t i = 0; i < 1ull << v->dir->depth; i++) {
		const struct cid_part *p = atomic_load(&v->dir->slot[i]);
		const struct cid_part_index *x = atomic_load(&p->index);

		if ((i == 0 || p != atomic_load(&v->dir->slot[i - 1])) && x)
			o->packed += x->footer.packed_bytes;
	}
}

uint32_t observe(struct world *w, bool maintenance)
{
	struct observed was = w->observed, o;
	uint32_t ev = 0;

	if (!w->s)
		return 0;
	look(w, &o);
	w->observed = o;
	if (!w->observing) {
		w->observing = true;
		return 0;
	}
#define SEEN(e, cond) (ev |= (cond) ? 1u << (e) : 0)
	SEEN(EV_SPLIT, o.splits > was.splits);
	SEEN(EV_DOUBLE, o.depth > was.depth);
	SEEN(EV_JOIN, o.joins > was.joins);
	SEEN(EV_RUN_MERGE, o.run_merges > was.run_merges);
	SEEN(EV_HALVE, o.depth < was.depth);
	SEEN(EV_SPILL, o.packed > was.packed);
	SEEN(EV_PROMOTE, o.promotions > was.promotions);
	SEEN(EV_DEMOTE, o.demotions > was.demotions);
	SEEN(EV_SWEEP, o.sweeps > was.sweeps);
	SEEN(EV_SWEEP_CUT, o.sweeping && o.sweeping == was.sweeping && o.commits > was.commits);
	SEEN(EV_FLUSH, o.flushes > was.flushes);
	SEEN(EV_FULL, !maintenance && o.flushes > was.flushes);
	SEEN(EV_WRAP, o.laps > was.laps);
	SEEN(EV_BATCH_WRAP, w->batch_wrapped);
	SEEN(EV_COMMIT, o.commits > was.commits);
	SEEN(EV_COLLECT, o.collected > was.collected);
	SEEN(EV_SEGMENT, o.segments > was.segments);
	SEEN(EV_PUNCH, o.punches > was.punches);
	SEEN(EV_GENERATION, o.spans > was.spans);
	SEEN(EV_COUNT, o.counted > was.counted && o.flushes == was.flushes);
	SEEN(EV_TXN, o.txns > was.txns);
	SEEN(EV_MOVE, w->moved);
#undef SEEN
	w->batch_wrapped = w->moved = false;
	for (int e = 0; e < EVENTS; e++)
		figures->happened[e] += ev >> e & 1;
	return ev;
}

/* A store that is opened anew counts from zero. */
void observe_again(struct world *w)
{
	uint32_t spans = w->observed.spans;
	bool was = w->observing;

	w->observing = false;
	if (!w->s)
		return;
	(void)observe(w, true);
	figures->happened[EV_GENERATION] += was && w->observed.spans > spans;
	figures->happened[EV_SPANS] += w->s->merge_spans;
}

int observe_missing(char *out, size_t n)
{
	int missing = 0, at = 0;

	out[0] = 0;
	for (int e = 0; e < EVENTS; e++)
		if (figures->happened[e] == 0 && at >= 0 && (size_t)at < n) {
			at += snprintf(out + at, n - (size_t)at, " %s", name[e]);
			missing++;
		}
	return missing;
}
