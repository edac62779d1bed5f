#include <stddef.h>
extern int *_errno(void);
extern int rand(void);
extern int _sopen(const char *path, int flags, int sharing, ...);
#define EEXIST 17
#define EINVAL 22
#define O_RDWR 0x0002
#define O_CREAT 0x0100
#define O_EXCL 0x0400
#define O_BINARY 0x8000
#define SH_DENYNO 0x40
#define S_IREAD_IWRITE 0x0180

/* Names are tried as long as a file has one already. */
int mkstemp(char *path)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char *end = path;
    int tries, at, file;
    while (*end) end++;
    for (at = 1; at <= 6; at++)
        if (end - path < at || end[-at] != 'X') { *_errno() = EINVAL; return -1; }
    for (tries = 0; tries < 1000; tries++) {
        for (at = 1; at <= 6; at++) end[-at] = letters[rand() % 36];
        file = _sopen(path, O_RDWR | O_CREAT | O_EXCL | O_BINARY, SH_DENYNO, S_IREAD_IWRITE);
        if (file >= 0 || *_errno() != EEXIST) return file;
    }
    return -1;
}
