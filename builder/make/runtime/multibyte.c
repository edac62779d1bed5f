/* Whole texts between multibyte and wide characters. */
#include <stddef.h>
extern size_t mbrtowc(wchar_t *to, const char *from, size_t size, void *state);
extern size_t wcrtomb(char *to, wchar_t from, void *state);

/* -- member -- */
size_t mbsrtowcs(wchar_t *to, const char **from, size_t count, void *state)
{
    const char *at = *from;
    size_t done = 0;
    wchar_t one;
    for (; to == 0 || done < count; done++) {
        size_t length = mbrtowc(&one, at, 8, state);
        if (length == (size_t)-1 || length == (size_t)-2) { if (to) *from = at; return (size_t)-1; }
        if (to) to[done] = one;
        if (length == 0) { if (to) *from = 0; return done; }
        at += length;
    }
    *from = at;
    return done;
}
/* -- member -- */
size_t wcsrtombs(char *to, const wchar_t **from, size_t count, void *state)
{
    const wchar_t *at = *from;
    size_t done = 0, byte;
    char bytes[8];
    for (;; at++) {
        size_t length = wcrtomb(bytes, *at, state);
        if (length == (size_t)-1) { if (to) *from = at; return (size_t)-1; }
        if (to && done + length > count) break;
        if (to) for (byte = 0; byte < length; byte++) to[done + byte] = bytes[byte];
        if (*at == 0) { if (to) *from = 0; return done + length - 1; }
        done += length;
    }
    *from = at;
    return done;
}
