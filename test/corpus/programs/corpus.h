/* What the corpus programs share: the few names of the driver kit that they need. Freestanding, no kit. */
typedef int NTSTATUS;
typedef __SIZE_TYPE__ SIZE_T;

#define STATUS_SUCCESS 0
#define STATUS_INVALID_PARAMETER ((NTSTATUS)0xC000000D)
#define STATUS_ACCESS_DENIED ((NTSTATUS)0xC0000022)
#define POOL_FLAG_NON_PAGED 0x40ULL

#ifdef _M_IX86
#define NTAPI __stdcall
#else
#define NTAPI
#endif
#define EXPORT __declspec(dllexport)
#define NOINLINE __attribute__((noinline))

__declspec(dllimport) unsigned DbgPrint(const char *format, ...);
__declspec(dllimport) void *NTAPI ExAllocatePool2(unsigned long long flags, SIZE_T bytes, unsigned tag);
__declspec(dllimport) void NTAPI ExFreePoolWithTag(void *block, unsigned tag);
void *memset(void *to, int value, SIZE_T size);

#define DLL_ENTRY \
    int NTAPI _DllMainCRTStartup(void *module, unsigned reason, void *reserved) \
    { (void)module; (void)reason; (void)reserved; return 1; }
#define DRIVER_ENTRY \
    NTSTATUS NTAPI DriverEntry(void *driver, void *registryPath) \
    { (void)driver; (void)registryPath; return STATUS_SUCCESS; }
