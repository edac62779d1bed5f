/* Close frees the session and keeps the pointer; Query reads through it. */
#include "../corpus.h"

struct session { unsigned key, uses; };
static struct session *g_Session;

NOINLINE EXPORT unsigned Mix(unsigned key)
{
    for (int i = 0; i < 8; i++) key = key << 3 ^ key >> 5 ^ 0x9e3779b9u;
    return key;
}

NOINLINE EXPORT int Open(unsigned key)
{
    struct session *session = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof *session, 'sesH');
    if (!session) return -1;
    session->key = key;
    g_Session = session;
    return 0;
}

NOINLINE EXPORT int Close(void)
{
#if HP_FIX
    struct session *session = g_Session;
    if (!session) return -1;
    g_Session = 0;
    ExFreePoolWithTag(session, 'sesH');
#else
    ExFreePoolWithTag(g_Session, 'sesH');
#endif
    return 0;
}

NOINLINE EXPORT int Query(void)
{
#if HP_FIX
    if (!g_Session) return -1;
#endif
    int value = (int)(Mix(g_Session->key) & 0x7fffffff);
    g_Session->uses++;
    return value;
}
DRIVER_ENTRY
