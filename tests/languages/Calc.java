package a;
interface Shape { int area(); }
enum Colour { RED }
record Point(int x) {}
class Adder extends Base {
    private int total = 0;
    Adder(int a) { total = a; }
    int value() {
        return add(total, 1);
    }
    static int add(int a, int b) { return a + b; }
}
