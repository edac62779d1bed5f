/* wmem* of <wchar.h>: wchar_t has 16 bits. */
#include <stddef.h>
extern void *memcpy(void *to, const void *from, size_t size);
extern void *memmove(void *to, const void *from, size_t size);
wchar_t *wmemcpy(wchar_t *to, const wchar_t *from, size_t count);
wchar_t *wmemcpy(wchar_t *to, const wchar_t *from, size_t count) { return memcpy(to, from, count * sizeof *to); }
wchar_t *wmemmove(wchar_t *to, const wchar_t *from, size_t count) { return memmove(to, from, count * sizeof *to); }
wchar_t *wmempcpy(wchar_t *to, const wchar_t *from, size_t count) { return wmemcpy(to, from, count) + count; }
wchar_t *wmemset(wchar_t *to, wchar_t value, size_t count)
{
    size_t at;
    for (at = 0; at < count; at++) to[at] = value;
    return to;
}
int wmemcmp(const wchar_t *one, const wchar_t *other, size_t count)
{
    for (; count; count--, one++, other++) if (*one != *other) return *one < *other ? -1 : 1;
    return 0;
}
wchar_t *wmemchr(const wchar_t *in, wchar_t value, size_t count)
{
    for (; count; count--, in++) if (*in == value) return (wchar_t *)in;
    return 0;
}
