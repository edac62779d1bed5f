/* A control code that only the kernel may send is carried out for everybody. */
#include "../corpus.h"

enum { KernelMode, UserMode };
static unsigned g_Setting = 7;
static unsigned g_Denied;

NOINLINE EXPORT int IsPublic(unsigned code)
{
    static const unsigned char codes[] = { 1, 3, 8 };
    for (unsigned i = 0; i < sizeof codes; i++) if (codes[i] == code) return 1;
    return 0;
}

NOINLINE EXPORT NTSTATUS Control(unsigned mode, unsigned code, unsigned value)
{
#if HP_FIX
    if (mode != KernelMode && !IsPublic(code)) { g_Denied++; return STATUS_ACCESS_DENIED; }
#else
    (void)mode;
    if (!IsPublic(code) && code != 2) { g_Denied++; return STATUS_INVALID_PARAMETER; }
#endif
    if (code == 2) g_Setting = value;
    return STATUS_SUCCESS;
}

EXPORT unsigned Setting(void) { return g_Setting; }
EXPORT unsigned Denied(void) { return g_Denied; }
DRIVER_ENTRY
