/* Printing into memory that is allocated for it. */
#include <stdarg.h>
#include <stddef.h>
extern int __stdio_common_vsprintf(unsigned long long options, char *buffer, size_t count, const char *format, void *locale, va_list list);
extern void *malloc(size_t size);
int vasprintf(char **to, const char *format, va_list list);
#define STANDARD_SNPRINTF_BEHAVIOR 2

/* -- member -- */
int vasprintf(char **to, const char *format, va_list list)
{
    va_list again;
    int length;
    va_copy(again, list);
    length = __stdio_common_vsprintf(STANDARD_SNPRINTF_BEHAVIOR, 0, 0, format, 0, again);
    va_end(again);
    *to = 0;
    if (length < 0) return -1;
    *to = malloc((size_t)length + 1);
    if (*to == 0) return -1;
    return __stdio_common_vsprintf(STANDARD_SNPRINTF_BEHAVIOR, *to, (size_t)length + 1, format, 0, list);
}
/* -- member -- */
int asprintf(char **to, const char *format, ...)
{
    va_list list;
    int length;
    va_start(list, format);
    length = vasprintf(to, format, list);
    va_end(list);
    return length;
}
/* -- member -- */
int __mingw_vasprintf(char **to, const char *format, va_list list) { return vasprintf(to, format, list); }
/* -- member -- */
int __mingw_asprintf(char **to, const char *format, ...)
{
    va_list list;
    int length;
    va_start(list, format);
    length = vasprintf(to, format, list);
    va_end(list);
    return length;
}
