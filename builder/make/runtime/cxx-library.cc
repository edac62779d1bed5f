// What headers of libc++ leave to its library: strings, reference counts, hash tables, the exceptions' own functions.
// Streams and locales are not among it.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
_LIBCPP_BEGIN_NAMESPACE_STD
template class basic_string<char>;
template class basic_string<wchar_t>;
template string operator+<char, char_traits<char>, allocator<char>>(char const *, string const &);

__shared_count::~__shared_count() { }
__shared_weak_count::~__shared_weak_count() { }
void __shared_weak_count::__release_weak() noexcept
{ if (__libcpp_atomic_refcount_decrement(__shared_weak_owners_) == -1) __on_zero_shared_weak(); }
__shared_weak_count *__shared_weak_count::lock() noexcept
{
    long owners = __atomic_load_n(&__shared_owners_, __ATOMIC_SEQ_CST);
    while (owners != -1)
        if (__atomic_compare_exchange_n(&__shared_owners_, &owners, owners + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return this;
    return nullptr;
}
const void *__shared_weak_count::__get_deleter(const type_info &) const noexcept { return nullptr; }

size_t __next_prime(size_t number)
{
    if (number < 3) return number == 0 ? 0 : 2;
    for (number |= 1;; number += 2) {
        size_t factor = 3;
        while (factor <= number / factor && number % factor != 0) factor += 2;
        if (factor > number / factor) return number;
    }
}

size_t __hash_memory(_LIBCPP_NOESCAPE const void *data, size_t size) noexcept
{
    size_t hash = (size_t)0xcbf29ce484222325; // FNV-1a's
    for (const char *at = (const char *)data, *end = at + size; at != end; at++) hash = (hash ^ (unsigned char)*at) * (size_t)0x100000001b3;
    return hash;
}

// Of numbers, sort is left to the library.
template <class Compare, class Iterator> void __sort(Iterator first, Iterator last, Compare)
{ std::partial_sort(first, last, last, [](auto a, auto b) { return a < b; }); }
#define SORT(type) template void __sort<__less<type> &, type *>(type *, type *, __less<type> &);
SORT(char) SORT(wchar_t) SORT(signed char) SORT(unsigned char) SORT(short) SORT(unsigned short) SORT(int) SORT(unsigned)
SORT(long) SORT(unsigned long) SORT(long long) SORT(unsigned long long) SORT(float) SORT(double) SORT(long double)

#define INTEGER(type, format) string to_string(type value) { char text[24]; return string(text, (size_t)snprintf(text, sizeof text, format, value)); }
INTEGER(int, "%d") INTEGER(unsigned, "%u") INTEGER(long, "%ld") INTEGER(unsigned long, "%lu")
INTEGER(long long, "%lld") INTEGER(unsigned long long, "%llu")
#define REAL(type) string to_string(type value) { char text[400]; return string(text, (size_t)snprintf(text, sizeof text, "%f", (double)value)); }
REAL(float) REAL(double) REAL(long double)

void __libcpp_verbose_abort(const char *format, ...) noexcept
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    abort();
}

// The text is kept as long as the program runs: nothing counts who has it.
__libcpp_refstring::__libcpp_refstring(const char *text) : __imp_(strdup(text)) { }
__libcpp_refstring::__libcpp_refstring(const __libcpp_refstring &other) noexcept : __imp_(other.__imp_) { }
__libcpp_refstring &__libcpp_refstring::operator=(const __libcpp_refstring &other) noexcept
{ __imp_ = other.__imp_; return *this; }
__libcpp_refstring::~__libcpp_refstring() { }
_LIBCPP_END_NAMESPACE_STD

namespace std {
const nothrow_t nothrow{};
exception::~exception() noexcept { }
const char *exception::what() const noexcept { return "std::exception"; }
bad_exception::~bad_exception() noexcept { }
const char *bad_exception::what() const noexcept { return "std::bad_exception"; }
bad_alloc::bad_alloc() noexcept { }
bad_alloc::~bad_alloc() noexcept { }
const char *bad_alloc::what() const noexcept { return "std::bad_alloc"; }
bad_array_new_length::bad_array_new_length() noexcept { }
bad_array_new_length::~bad_array_new_length() noexcept { }
const char *bad_array_new_length::what() const noexcept { return "bad_array_new_length"; }
#define ERROR(name) \
    name::name(const string &text) : __imp_(text.c_str()) { } \
    name::name(const char *text) : __imp_(text) { } \
    name::name(const name &other) noexcept : exception(other), __imp_(other.__imp_) { } \
    name &name::operator=(const name &other) noexcept { __imp_ = other.__imp_; return *this; } \
    name::~name() noexcept { } \
    const char *name::what() const noexcept { return __imp_.c_str(); }
ERROR(logic_error)
ERROR(runtime_error)
domain_error::~domain_error() noexcept { }
invalid_argument::~invalid_argument() noexcept { }
length_error::~length_error() noexcept { }
out_of_range::~out_of_range() noexcept { }
range_error::~range_error() noexcept { }
overflow_error::~overflow_error() noexcept { }
underflow_error::~underflow_error() noexcept { }
}
