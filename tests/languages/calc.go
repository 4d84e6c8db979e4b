package calc

const Limit = 3

type Adder struct {
	total int
}

type Shape interface {
	Area() int
}

func (a *Adder) Value() int {
	return Add(a.total, Limit)
}

func Add(a, b int) int { return a + b }
