/* A name from outside is used as the format. */
#include "../corpus.h"

static unsigned g_Lines;

NOINLINE EXPORT int IsPrintable(const char *text)
{
    for (; *text; text++) if (*text < ' ' || *text > '~') return 0;
    return 1;
}

NOINLINE EXPORT int LogName(const char *name)
{
    if (!IsPrintable(name)) return -1;
#if HP_FIX
    DbgPrint("%s", name);
#else
    DbgPrint(name);
#endif
    return (int)++g_Lines;
}
DRIVER_ENTRY
