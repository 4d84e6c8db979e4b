module Calc
  LIMIT = 3
  class Adder < Base
    def value
      add(@total, LIMIT)
    end

    def self.build
      new
    end
  end
end
