namespace calc {
class Adder : public Base {
public:
    int value();
    int total;
    int twice() { return add(total, total); }
};
int Adder::value() { return add(total, 1); }
template <typename T>
T add(T a, T b) { return a + b; }
}
