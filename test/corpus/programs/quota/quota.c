/*
 * A negative amount is below every limit. The fix changes caller and callee, adds a helper and a variable, and sets the
 * variable in the callout from what the base has counted so far.
 */
#include "../corpus.h"

static int g_Used = 40;
static int g_Limit = 100;

NOINLINE EXPORT int Round(int amount) { return (amount + 9) / 10 * 10; }

#if HP_FIX
unsigned g_Refused;
unsigned g_UsedBefore;
static NOINLINE int refuse(unsigned why) { g_Refused += why; return -1; }
#endif

NOINLINE EXPORT int Remaining(int used)
{
#if HP_FIX
    return used > g_Limit ? 0 : g_Limit - used;
#else
    return g_Limit - used;
#endif
}

NOINLINE EXPORT int Charge(int amount)
{
#if HP_FIX
    if (amount < 0) return refuse(1);
    if (amount > Remaining(g_Used)) return refuse(2);
#else
    if (amount > Remaining(g_Used)) return -1;
#endif
    g_Used += Round(amount);
    return g_Used;
}

EXPORT int Used(void) { return g_Used; }

#if HP_FIX
EXPORT NTSTATUS __PatchMainCallout__(const unsigned *context, unsigned size)
{
    if (size < 12 || context[0] != 1) return STATUS_INVALID_PARAMETER;
    if (context[1] == 0) g_UsedBefore = (unsigned)g_Used;
    return STATUS_SUCCESS;
}
EXPORT unsigned UsedBefore(void) { return g_UsedBefore; }
#endif
DRIVER_ENTRY
