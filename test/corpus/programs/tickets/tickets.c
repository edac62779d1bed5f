/* Read, wait, write back: two takers at once get the same ticket. */
#include "../corpus.h"

static unsigned g_Next = 100;

NOINLINE EXPORT unsigned Pause(unsigned turns)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < (turns & 63); i++) sum += ((volatile unsigned *)&turns)[0] ^ i;
    return sum;
}

NOINLINE EXPORT unsigned TakeTicket(unsigned patience)
{
#if HP_FIX
    unsigned ticket = __atomic_fetch_add(&g_Next, 1, __ATOMIC_SEQ_CST);
    Pause(patience);
#else
    unsigned ticket = *(volatile unsigned *)&g_Next;
    Pause(patience);
    g_Next = ticket + 1;
#endif
    return ticket;
}
DRIVER_ENTRY
