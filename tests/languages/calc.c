#define LIMIT 3
struct adder { int total; };
typedef struct adder Adder;
enum colour { RED };
int add(int a, int b);
static int value(struct adder *a)
{
    return add(a->total, LIMIT);
}
char *name(void) { return 0; }
int counter = 0;
