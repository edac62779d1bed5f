// What this reports is the same when g++ builds it for the machine that it runs on.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
#include <cstdio>
#include <cstring>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

static std::string trail;
struct Marked {
    explicit Marked(const char *name) { trail += name; }
};
static Marked first("a"), second("b");
static std::vector<int> table = { 5, 3, 9, 1 };
static int computed = static_cast<int>(trail.size()) * 10;

struct Shape { virtual ~Shape() { } virtual int area() const { return 0; } };
struct Named { virtual ~Named() { } virtual const char *name() const { return "?"; } };
struct Square : Shape { int side; explicit Square(int s) : side(s) { } int area() const override { return side * side; } };
struct Tagged : Square, Named { explicit Tagged(int s) : Square(s) { } const char *name() const override { return "tagged"; } };

struct alignas(64) Wide { int value = 7; };

extern "C" EXPORT int report(char *to)
{
    std::string text = trail + " " + std::to_string(computed);
    std::sort(table.begin(), table.end());
    for (int one : table) text += " " + std::to_string(one);
    std::map<std::string, int> counts;
    for (const char *word : { "to", "be", "or", "not", "to", "be" }) counts[word]++;
    for (const auto &[word, count] : counts) text += " " + word + "=" + std::to_string(count);
    std::unordered_map<int, std::string> numbers;
    for (int i = 0; i < 100; i++) numbers[i * i] = std::to_string(i);
    text += " " + numbers[49] + std::to_string(numbers.size());
    auto shared = std::make_shared<Tagged>(6);
    std::weak_ptr<Tagged> weak = shared;
    Shape *shape = shared.get();
    Named *named = dynamic_cast<Named *>(shape);
    text += std::string(" ") + (named ? named->name() : "none") + std::to_string(shape->area());
    Square plain(3);
    shape = &plain;
    text += dynamic_cast<Named *>(shape) ? " cast" : " none";
    shared.reset();
    text += weak.expired() ? " gone" : " there";
    std::unique_ptr<Wide> wide(new Wide);
    text += reinterpret_cast<size_t>(wide.get()) % 64 == 0 ? " aligned" : " not";
    std::wstring w = L"wide";
    w += L"r than the room that a short one has of its own";
    text += " " + std::to_string(w.size()) + " " + text.substr(0, 2) + std::to_string(text.find("not"));
    static Marked late("c");
    text += " " + trail;
    strcpy(to, text.c_str());
    return static_cast<int>(text.size());
}

#ifndef _WIN32
int main()
{
    static char text[10000];
    report(text);
    puts(text);
}
#endif
