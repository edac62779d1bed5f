/* The entry of a DLL; without a DllMain in the program, link.ts points that name at hotpatch_no_dll_main. */
int __stdcall DllMain(void *instance, unsigned reason, void *reserved);
int __stdcall hotpatch_no_dll_main(void *instance, unsigned reason, void *reserved)
{
    (void)instance; (void)reason; (void)reserved;
    return 1;
}
int __stdcall _DllMainCRTStartup(void *instance, unsigned reason, void *reserved)
{
    return DllMain(instance, reason, reserved);
}
