// What run-time type information points at, and dynamic_cast: the Itanium C++ ABI's, for classes without and with several bases.
using Size = decltype(sizeof(0));
using Offset = decltype((char *)0 - (char *)0);
extern "C" int strcmp(const char *a, const char *b);
namespace std {
class type_info {
public:
    virtual ~type_info();
    const char *name() const { return typeName; }
    bool is(const type_info &other) const { return this == &other || strcmp(typeName, other.typeName) == 0; }
    const char *typeName;
};
type_info::~type_info() { }
}
namespace __cxxabiv1 {
class __fundamental_type_info : public std::type_info { public: ~__fundamental_type_info() override; };
class __array_type_info : public std::type_info { public: ~__array_type_info() override; };
class __function_type_info : public std::type_info { public: ~__function_type_info() override; };
class __enum_type_info : public std::type_info { public: ~__enum_type_info() override; };
class __pbase_type_info : public std::type_info { public: ~__pbase_type_info() override; };
class __pointer_type_info : public __pbase_type_info { public: ~__pointer_type_info() override; };
class __pointer_to_member_type_info : public __pbase_type_info { public: ~__pointer_to_member_type_info() override; };
class __class_type_info : public std::type_info {
public:
    ~__class_type_info() override;
    /** Every subobject of type `wanted` in the object at `at`: counts them, keeps the last that is reached by public bases. */
    struct Search { const std::type_info &wanted; const void *found; unsigned count; };
    virtual void find(const void *at, bool isPublic, Search &search) const
    {
        if (!is(search.wanted)) return;
        if (isPublic && search.found == at) return;
        search.count++;
        search.found = isPublic ? at : search.found;
    }
};
class __si_class_type_info : public __class_type_info {
public:
    ~__si_class_type_info() override;
    const __class_type_info *base;
    void find(const void *at, bool isPublic, Search &search) const override
    {
        if (is(search.wanted)) __class_type_info::find(at, isPublic, search);
        else base->find(at, isPublic, search);
    }
};
class __vmi_class_type_info : public __class_type_info {
public:
    ~__vmi_class_type_info() override;
    unsigned flags, baseCount;
    struct Base { const __class_type_info *type; Offset flags; } bases[1];
    void find(const void *at, bool isPublic, Search &search) const override
    {
        if (is(search.wanted)) return __class_type_info::find(at, isPublic, search);
        for (unsigned i = 0; i < baseCount; i++) {
            const Base &base = bases[i];
            Offset offset = base.flags >> 8;
            if (base.flags & 1) offset = *(const Offset *)(*(const char *const *)at + offset); // virtual: the table says where
            base.type->find((const char *)at + offset, isPublic && (base.flags & 2), search);
        }
    }
};
__fundamental_type_info::~__fundamental_type_info() { }
__array_type_info::~__array_type_info() { }
__function_type_info::~__function_type_info() { }
__enum_type_info::~__enum_type_info() { }
__pbase_type_info::~__pbase_type_info() { }
__pointer_type_info::~__pointer_type_info() { }
__pointer_to_member_type_info::~__pointer_to_member_type_info() { }
__class_type_info::~__class_type_info() { }
__si_class_type_info::~__si_class_type_info() { }
__vmi_class_type_info::~__vmi_class_type_info() { }

/** The whole object's one public base of the type that is wanted; null where there is none, or several. */
extern "C" void *__dynamic_cast(const void *from, const __class_type_info *, const __class_type_info *to, Offset)
{
    const Offset *table = *(const Offset *const *)from;
    const void *whole = (const char *)from + table[-2];
    const __class_type_info *type = (const __class_type_info *)table[-1];
    __class_type_info::Search search = { *to, nullptr, 0 };
    type->find(whole, true, search);
    return search.count == 1 ? const_cast<void *>(search.found) : nullptr;
}
extern "C" void abort(void);
extern "C" void __cxa_bad_cast(void) { abort(); }
extern "C" void __cxa_bad_typeid(void) { abort(); }
}
