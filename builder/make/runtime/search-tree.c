/* tsearch and its like of POSIX: a tree without balance. */
#include <stddef.h>
extern void *malloc(size_t size);
extern void free(void *memory);
typedef int Compare(const void *, const void *);
typedef enum { preorder, postorder, endorder, leaf } VISIT;
struct node { const void *key; struct node *left, *right; };

static struct node **find(const void *key, struct node **root, Compare *compare)
{
    while (*root) {
        int order = compare(key, (*root)->key);
        if (order == 0) return root;
        root = order < 0 ? &(*root)->left : &(*root)->right;
    }
    return root;
}
void *tfind(const void *key, void *const *root, Compare *compare)
{
    return root ? *find(key, (struct node **)root, compare) : 0;
}
void *tsearch(const void *key, void **root, Compare *compare)
{
    struct node **place;
    if (!root) return 0;
    place = find(key, (struct node **)root, compare);
    if (*place == 0 && (*place = malloc(sizeof **place)) != 0) { (*place)->key = key; (*place)->left = (*place)->right = 0; }
    return *place;
}
/* The parent of what went; of the root, as the standard leaves open, some pointer that is not null. */
void *tdelete(const void *key, void **root, Compare *compare)
{
    struct node *parent = 0, **place = (struct node **)root, *gone, **least;
    if (!root) return 0;
    while (*place) {
        int order = compare(key, (*place)->key);
        if (order == 0) break;
        parent = *place;
        place = order < 0 ? &parent->left : &parent->right;
    }
    gone = *place;
    if (!gone) return 0;
    if (!gone->left) *place = gone->right;
    else if (!gone->right) *place = gone->left;
    else {
        struct node *follower;
        for (least = &gone->right; (*least)->left; least = &(*least)->left) { }
        follower = *least;
        *least = follower->right;
        follower->left = gone->left;
        follower->right = gone->right;
        *place = follower;
    }
    free(gone);
    return parent ? parent : (void *)root;
}
static void walk(const struct node *at, void (*visit)(const void *, VISIT, int), int depth)
{
    if (!at->left && !at->right) { visit(at, leaf, depth); return; }
    visit(at, preorder, depth);
    if (at->left) walk(at->left, visit, depth + 1);
    visit(at, postorder, depth);
    if (at->right) walk(at->right, visit, depth + 1);
    visit(at, endorder, depth);
}
void twalk(const void *root, void (*visit)(const void *, VISIT, int)) { if (root) walk(root, visit, 0); }
