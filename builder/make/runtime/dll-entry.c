/* The entry of a DLL; without a DllMain in the program, link.ts points that name at hotpatch_no_dll_main. */
typedef void (*Constructor)(void);
#define DLL_PROCESS_ATTACH 1
int __stdcall DllMain(void *instance, unsigned reason, void *reserved);
int __stdcall hotpatch_no_dll_main(void *instance, unsigned reason, void *reserved)
{
    (void)instance; (void)reason; (void)reserved;
    return 1;
}
#if defined(__MINGW32__)
/* -1, constructors, 0: MinGW's linker makes the list, and it is run from its end. */
extern const Constructor __CTOR_LIST__[];
static void construct(void)
{
    unsigned long count = 0;
    while (__CTOR_LIST__[count + 1]) count++;
    for (; count > 0; count--) __CTOR_LIST__[count]();
}
#else
/* Sections that the linker sorts by what follows the dollar: the program's lie between these two. */
__attribute__((section(".CRT$XCA"))) const Constructor hotpatch_first_constructor = 0;
__attribute__((section(".CRT$XCZ"))) const Constructor hotpatch_last_constructor = 0;
static void construct(void)
{
    const Constructor *at = &hotpatch_first_constructor;
    while (++at < &hotpatch_last_constructor) if (*at) (*at)();
}
#endif
int __stdcall _DllMainCRTStartup(void *instance, unsigned reason, void *reserved)
{
    if (reason == DLL_PROCESS_ATTACH) construct();
    return DllMain(instance, reason, reserved);
}
