/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/setting.h"

#include <errno.h>
#include <inttypes.h>
#include "control/number.h"

int cid_setting_show(struct cid_control *c, const struct cid_ctl_node *node, const char *name,
		     struct cid_text *out)
{
	uint64_t value;
	int rc = cidstore_config_get(c->store, node->setting->name, &value);

	(void)name;
	if (rc == 0)
		cid_text_printf(out, "%" PRIu64 "\n", value);
	return cid_ctl_errno(rc);
}

int cid_setting_store(struct cid_control *c, const struct cid_ctl_node *node, const char *value,
		      size_t n)
{
	uint64_t number;

	if (!cid_number_written(value, n, &number))
		return -EINVAL;
	return cid_ctl_errno(cidstore_config_set(c->store, node->setting->name, number));
}
