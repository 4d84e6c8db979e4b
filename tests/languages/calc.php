<?php
namespace Calc;
interface Shape { function area(); }
class Adder extends Base {
    const LIMIT = 3;
    private $total = 0;
    function value() {
        return add($this->total, self::LIMIT);
    }
}
function add($a, $b) { return $a + $b; }
