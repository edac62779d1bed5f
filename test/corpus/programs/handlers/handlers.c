/* A handler is picked by an index from outside, from a table of function pointers, without a check. */
#include "../corpus.h"

typedef int (*handler)(int);
static int s_Calls;
static NOINLINE int twice(int value) { s_Calls++; return value * 2; }
static NOINLINE int negate(int value) { s_Calls++; return -value; }
static NOINLINE int square(int value) { s_Calls++; return value * value; }
static const handler k_Handlers[3] = { twice, negate, square };
static handler s_Last = twice;

NOINLINE EXPORT int Scale(int value) { return value & 0xffff; }

NOINLINE EXPORT int Handle(unsigned code, int value)
{
    value = Scale(value);
#if HP_FIX
    if (code >= 3) { s_Last = negate; return -1; }
#endif
    s_Last = k_Handlers[code];
    return k_Handlers[code](value);
}

EXPORT int Again(int value) { return s_Last(value); }
EXPORT int Calls(void) { return s_Calls; }
DLL_ENTRY
