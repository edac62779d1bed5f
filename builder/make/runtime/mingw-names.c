/* Names that mingw-w64's headers use and its static library brings. */
#include <stddef.h>
extern double strtod(const char *text, char **end);
extern char *_strdup(const char *text);
extern int _access(const char *path, int mode);
double __mingw_strtod(const char *text, char **end) { return strtod(text, end); }
char *strtok_r(char *text, const char *separators, char **next)
{
    char *at = text ? text : *next, *begin;
    const char *separator;
    for (begin = 0; *at; at++) {
        for (separator = separators; *separator && *separator != *at; separator++) { }
        if (*separator == 0) { if (!begin) begin = at; }
        else if (begin) { *at++ = 0; break; }
    }
    *next = at;
    return begin;
}
