/* Names that mingw-w64's headers use and its static library brings. */
#include <stddef.h>
extern double strtod(const char *text, char **end);
extern float strtof(const char *text, char **end);
extern double wcstod(const wchar_t *text, wchar_t **end);
extern char *_strdup(const char *text);
extern int _access(const char *path, int mode);
/* -- member -- */
double __mingw_strtod(const char *text, char **end) { return strtod(text, end); }
/* -- member -- */
float __mingw_strtof(const char *text, char **end) { return strtof(text, end); }
/* -- member -- */
/* Those of ucrtbase.dll return a double: for them long double is one. */
long double strtold(const char *text, char **end) { return strtod(text, end); }
/* -- member -- */
long double __mingw_strtold(const char *text, char **end) { return strtod(text, end); }
/* -- member -- */
long double wcstold(const wchar_t *text, wchar_t **end) { return wcstod(text, end); }
/* -- member -- */
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
