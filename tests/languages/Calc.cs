namespace Calc {
    interface IShape { int Area(); }
    enum Colour { Red }
    class Adder : Base {
        int total = 0;
        public int Total { get; set; }
        Adder(int a) { total = a; }
        int Value() { return Add(total, 1); }
    }
    record Point(int X);
}
