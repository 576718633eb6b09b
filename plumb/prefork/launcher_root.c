/* The root of a command, and whether it can be used: plumb/root.py in C. */
#include "launcher.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Absolute path of the root, without empty parts and single dots; symbolic links and ".." stay. */
int find_root(char root[PATH_MAX])
{
    char given[2 * PATH_MAX], *rest = given, *part;
    const char *named = getenv("PLUMB_ROOT");
    size_t length = 0;

    if (!named || !*named)
        named = DEFAULT_ROOT;
    if (strlen(named) >= PATH_MAX)
        return -1;
    if (*named == '/')
        strcpy(given, named);
    else {
        if (!getcwd(given, PATH_MAX))
            return -1;
        strcat(given, "/");
        strcat(given, named);
    }
    while ((part = strsep(&rest, "/"))) {
        if (!*part || !strcmp(part, "."))
            continue;
        int added = snprintf(root + length, PATH_MAX - length, "/%s", part);
        if (added < 0 || (size_t)added >= PATH_MAX - length)
            return -1;
        length += added;
    }
    if (!length)
        strcpy(root, "/");
    return 0;
}

static int is_ours(const struct stat *found, int directory)
{
    return found->st_uid == geteuid() && !(found->st_mode & (S_IWGRP | S_IWOTH)) &&
           (S_ISDIR(found->st_mode) != 0) == directory;
}

/* A path that does not exist can be trusted; a symbolic link cannot. */
static int can_trust(const char *folder, const char *name, int directory)
{
    char path[2 * PATH_MAX];
    struct stat found;

    snprintf(path, sizeof path, "%s%s", folder, name);
    return lstat(path, &found) || is_ours(&found, directory);
}

int can_trust_root(const char *root, const char *folder)
{
    struct stat link, found;

    if (!lstat(root, &link) && !stat(root, &found) &&
        (link.st_uid != geteuid() || !is_ours(&found, 1)))
        return 0;
    return (!strcmp(folder, root) || can_trust(folder, "", 1)) && can_trust(folder, "/netns", 1) &&
           can_trust(folder, "/fixes", 1) && can_trust(root, "/containers", 1) &&
           can_trust(root, "/plumb.db", 0) && can_trust(root, "/plumb.db-wal", 0) &&
           can_trust(root, "/plumb.db-shm", 0) && can_trust(folder, "/agent.sock", 0) &&
           can_trust(folder, "/" SOCKET, 0);
}
