/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>
#include "daemon/exit.h"
#include "daemon/say.h"

static int wait_for(pid_t pid, int fd)
{
	char word = 0;
	ssize_t n;
	int status;

	do
		n = read(fd, &word, 1);
	while (n < 0 && errno == EINTR);
	close(fd);
	if (n == 1)
		return 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CID_EXIT_MOUNT;
	if (WIFEXITED(status))
		return WEXITSTATUS(status) ? WEXITSTATUS(status) : CID_EXIT_MOUNT;
	cid_say(LOG_ERR, "the daemon was ended by signal %d before the mount was ready",
		WTERMSIG(status));
	return CID_EXIT_MOUNT;
}

int cid_background_start(bool *parent)
{
	int fd[2];
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid < 0) {
		close(fd[0]);
		close(fd[1]);
		return -1;
	}
	*parent = pid > 0;
	if (pid > 0) {
		close(fd[1]);
		return wait_for(pid, fd[0]);
	}
	close(fd[0]);
	setsid();
	return fd[1];
}

void cid_background_ready(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	cid_say_to_syslog();
	if (null >= 0) {
		for (int i = 0; i < 3; i++)
			dup2(null, i);
		if (null > 2)
			close(null);
	}
	/* A parent that was killed meanwhile does not matter. */
	if (write(fd, "", 1) < 0)
		cid_say(LOG_INFO, "nobody waits for the mount: %s", strerror(errno));
	close(fd);
}

void cid_background_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	char text[64];
	int fd, len;

	if (n < 2 || n >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, n);
	if (*path == '@') /* the abstract name space */
		to.sun_path[0] = '\0';
	len = snprintf(text, sizeof(text), "%s\nMAINPID=%ld", state, (long)getpid());
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, (size_t)len, MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		cid_say(LOG_WARNING, "telling systemd: %s", strerror(errno));
	close(fd);
}
