protocol Shape { func area() -> Int }
class Adder: Base {
    var total = 0
    init(total: Int) { self.total = total }
    func value() -> Int {
        return add(total, 1)
    }
}
struct Point {}
enum Colour { case red }
func add(_ a: Int, _ b: Int) -> Int { return a + b }
let limit = 3
