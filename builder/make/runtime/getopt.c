/* getopt, getopt_long and getopt_long_only as POSIX and GNU's manual say; words that are no options are moved behind them. */
#include <stddef.h>
struct _iobuf;
extern struct _iobuf *__acrt_iob_func(unsigned index);
extern int fputs(const char *text, struct _iobuf *stream);
extern char *getenv(const char *name);

struct option { const char *name; int has_arg; int *flag; int val; };
enum { NO_ARGUMENT, REQUIRED_ARGUMENT, OPTIONAL_ARGUMENT };

char *optarg;
int optind = 1, opterr = 1, optopt = '?', __mingw_optreset;
/* Where the next letter of a word of several is; the words that were passed by lie in [skipped, skippedEnd). */
static const char *letter = "";
static int skipped = -1, skippedEnd;

static int isOption(const char *word) { return word[0] == '-' && word[1] != 0; }
static int isEnd(const char *word) { return word[0] == '-' && word[1] == '-' && word[2] == 0; }

static void complain(char *const *words, const char *what, const char *name, int length)
{
    char text[2] = { 0, 0 };
    int at;
    struct _iobuf *to = __acrt_iob_func(2);
    if (!opterr) return;
    if (words[0]) { fputs(words[0], to); fputs(": ", to); }
    fputs(what, to);
    fputs(" -- ", to);
    for (at = 0; at < length; at++) { text[0] = name[at]; fputs(text, to); }
    fputs("\n", to);
}

static void reverse(char **words, int from, int to)
{
    for (to--; from < to; from++, to--) { char *one = words[from]; words[from] = words[to]; words[to] = one; }
}
/* Brings the words that were passed by behind the options that came after them. */
static void exchange(char **words)
{
    int options = optind - skippedEnd;
    if (skipped < 0 || options <= 0) return;
    reverse(words, skipped, skippedEnd);
    reverse(words, skippedEnd, optind);
    reverse(words, skipped, optind);
    skipped += options;
    skippedEnd = optind;
}

static int argumentMissing(const char *options) { return options[0] == ':' || ((options[0] == '-' || options[0] == '+') && options[1] == ':') ? ':' : '?'; }

static int lengthOf(const char *name) { int length = 0; while (name[length] && name[length] != '=') length++; return length; }

static int longOption(int count, char *const *words, const char *options, const struct option *table, int *index,
                      const char *name, int mayBeShort)
{
    int length = lengthOf(name), found = -1, isAmbiguous = 0, at;
    for (at = 0; table[at].name; at++) {
        int same = 0;
        while (same < length && table[at].name[same] == name[same]) same++;
        if (same < length) continue;
        if (table[at].name[same] == 0) { found = at; isAmbiguous = 0; break; }
        if (found < 0) found = at;
        else if (table[found].has_arg != table[at].has_arg || table[found].flag != table[at].flag || table[found].val != table[at].val) isAmbiguous = 1;
    }
    if (found < 0 && mayBeShort) return -2;
    optind++;
    letter = "";
    if (found < 0 || isAmbiguous) {
        complain(words, found < 0 ? "unknown option" : "ambiguous option", name, length);
        optopt = 0;
        return '?';
    }
    optarg = name[length] == '=' ? (char *)name + length + 1 : 0;
    optopt = table[found].val;
    if (optarg && table[found].has_arg == NO_ARGUMENT) {
        complain(words, "option doesn't take an argument", name, length);
        return '?';
    }
    if (!optarg && table[found].has_arg == REQUIRED_ARGUMENT) {
        if (optind >= count) {
            int result = argumentMissing(options);
            if (result == '?') complain(words, "option requires an argument", name, length);
            return result;
        }
        optarg = words[optind++];
    }
    if (index) *index = found;
    if (!table[found].flag) return table[found].val;
    *table[found].flag = table[found].val;
    return 0;
}

static int has(const char *letters, char one) { while (*letters && *letters != one) letters++; return *letters != 0; }

static int next(int count, char *const *given, const char *options, const struct option *table, int *index, int isOnlyLong)
{
    char **words = (char **)given;
    const char *entry = options;
    char order = options[0];
    int result;
    optarg = 0;
    if (optind == 0 || __mingw_optreset) { optind = 1; __mingw_optreset = 0; letter = ""; skipped = -1; }
    if (order == '-' || order == '+') entry++;
    else order = getenv("POSIXLY_CORRECT") ? '+' : 0;
    if (*letter == 0) {
        exchange(words);
        if (order == 0) {
            int from = optind;
            while (optind < count && !isOption(words[optind])) optind++;
            if (optind > from) { if (skipped < 0) skipped = from; skippedEnd = optind; }
            else if (skipped >= 0 && skipped == skippedEnd) skipped = -1;
        }
        if (optind < count && isEnd(words[optind])) {
            optind++;
            exchange(words);
            if (skipped >= 0) { optind = skipped; skipped = -1; }
            return -1;
        }
        if (optind >= count) { if (skipped >= 0) { optind = skipped; skipped = -1; } return -1; }
        if (!isOption(words[optind])) {
            if (order == '-') { optarg = words[optind++]; return 1; }
            return -1;
        }
        letter = words[optind] + 1;
        /* One letter that is an option of its own is that, not the beginning of a long one. */
        if (table && (*letter == '-' || (isOnlyLong && (letter[1] || !has(entry, *letter))))) {
            int dashes = *letter == '-';
            result = longOption(count, words, options, table, index, letter + dashes, isOnlyLong && !dashes);
            if (result != -2) return result;
        }
    }
    optopt = (unsigned char)*letter++;
    if (*entry == ':') entry++;
    while (*entry && *entry != (char)optopt) entry++;
    if (*entry == 0 || optopt == ':') {
        if (options[0] != ':') complain(words, "unknown option", letter - 1, 1);
        if (*letter == 0) optind++;
        return '?';
    }
    if (entry[1] != ':') { if (*letter == 0) optind++; return optopt; }
    optind++;
    if (*letter || entry[2] == ':') { optarg = *letter ? (char *)letter : 0; letter = ""; return optopt; }
    letter = "";
    if (optind >= count) {
        result = argumentMissing(options);
        if (result == '?') complain(words, "option requires an argument", (const char[]){ (char)optopt, 0 }, 1);
        return result;
    }
    optarg = words[optind++];
    return optopt;
}

int getopt(int count, char *const *words, const char *options) { return next(count, words, options, 0, 0, 0); }
int getopt_long(int count, char *const *words, const char *options, const struct option *table, int *index)
{ return next(count, words, options, table, index, 0); }
int getopt_long_only(int count, char *const *words, const char *options, const struct option *table, int *index)
{ return next(count, words, options, table, index, 1); }
