package calc

interface Shape {
    fun area(): Int
}

class Adder(val total: Int) : Base() {
    val limit = 3

    fun value(): Int {
        return add(total, limit)
    }
}

object Single

enum class Colour { RED }

fun add(a: Int, b: Int) = a + b
