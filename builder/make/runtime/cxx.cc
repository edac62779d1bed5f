// What a C++ compiler calls by itself: new, delete, calls of pure virtual functions, guards of local statics.
using Size = decltype(sizeof(0));
extern "C" void *malloc(Size size);
extern "C" void free(void *memory);
extern "C" [[noreturn]] void abort(void);
void *operator new(Size size) { void *memory = malloc(size ? size : 1); if (!memory) abort(); return memory; }
void *operator new[](Size size) { return operator new(size); }
void operator delete(void *memory) noexcept { free(memory); }
void operator delete[](void *memory) noexcept { free(memory); }
void operator delete(void *memory, Size) noexcept { free(memory); }
void operator delete[](void *memory, Size) noexcept { free(memory); }
extern "C" void __cxa_pure_virtual(void) { abort(); }
extern "C" void __cxa_deleted_virtual(void) { abort(); }
extern "C" int __cxa_guard_acquire(char *guard) { return *guard == 0; }
extern "C" void __cxa_guard_release(char *guard) { *guard = 1; }
extern "C" void __cxa_guard_abort(char *) { }
extern "C" int __cxa_atexit(void (*)(void *), void *, void *) { return 0; }
extern "C" void *_aligned_malloc(Size size, Size alignment);
extern "C" void _aligned_free(void *memory);
namespace std { enum class align_val_t : Size { }; }
void *operator new(Size size, std::align_val_t alignment)
{ void *memory = _aligned_malloc(size ? size : 1, (Size)alignment); if (!memory) abort(); return memory; }
void *operator new[](Size size, std::align_val_t alignment) { return operator new(size, alignment); }
void operator delete(void *memory, std::align_val_t) noexcept { _aligned_free(memory); }
void operator delete[](void *memory, std::align_val_t) noexcept { _aligned_free(memory); }
void operator delete(void *memory, Size, std::align_val_t) noexcept { _aligned_free(memory); }
void operator delete[](void *memory, Size, std::align_val_t) noexcept { _aligned_free(memory); }
namespace std { struct nothrow_t; }
void *operator new(Size size, const std::nothrow_t &) noexcept { return malloc(size ? size : 1); }
void *operator new[](Size size, const std::nothrow_t &) noexcept { return malloc(size ? size : 1); }
