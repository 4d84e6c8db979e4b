LIMIT = 3


class Adder(Base):
    total: int = 0

    @property
    def value(self):
        return add(self.total, LIMIT)


def add(a, b):
    return a + b
