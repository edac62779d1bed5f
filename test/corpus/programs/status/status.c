/* A structure on the stack is handed out with what lay there before. */
#include "../corpus.h"

struct status { int code; char name[56]; int flags; };
static int g_Code = 3;

NOINLINE EXPORT int Authenticate(unsigned seed)
{
    volatile unsigned char secret[512];
    for (unsigned i = 0; i < sizeof secret; i++) secret[i] = 0x5a;
    return secret[seed & 511] == 0x5a;
}

NOINLINE EXPORT void Deliver(unsigned char *to, const unsigned char *from, unsigned size)
{
    for (unsigned i = 0; i < size; i++) ((volatile unsigned char *)to)[i] = from[i];
}

NOINLINE EXPORT int GetStatus(unsigned char *out)
{
    struct status status;
    __asm__ volatile("" : : "r"(&status) : "memory");
#if HP_FIX
    memset(&status, 0, sizeof status);
#endif
    status.code = g_Code;
    status.name[0] = 'a';
    status.name[1] = 0;
    status.flags = 1;
    Deliver(out, (unsigned char *)&status, sizeof status);
    return (int)sizeof status;
}

EXPORT int Report(unsigned char *out) { return Authenticate(1) ? GetStatus(out) : -1; }
DLL_ENTRY
