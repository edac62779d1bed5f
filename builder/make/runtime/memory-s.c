/* The checked copies of C11, which Windows' headers have inline. A mistake calls no handler: it is an error code. */
#include <stddef.h>
extern void *memmove(void *to, const void *from, size_t size);
extern void *memset(void *to, int value, size_t size);
extern int *_errno(void);
#define EINVAL 22
#define ERANGE 34
static int copy(void *to, size_t room, const void *from, size_t size)
{
    if (size == 0) return 0;
    if (to != 0 && from != 0 && size <= room) { memmove(to, from, size); return 0; }
    if (to != 0) memset(to, 0, room);
    return *_errno() = to == 0 || from == 0 ? EINVAL : ERANGE;
}
/* -- member -- */
int memcpy_s(void *to, size_t room, const void *from, size_t size) { return copy(to, room, from, size); }
/* -- member -- */
int memmove_s(void *to, size_t room, const void *from, size_t size) { return copy(to, room, from, size); }
