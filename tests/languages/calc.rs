pub struct Adder { total: i32 }
pub trait Shape { fn area(&self) -> i32; }
enum Colour { Red }
impl Shape for Adder {
    fn area(&self) -> i32 {
        add(self.total, LIMIT)
    }
}
const LIMIT: i32 = 3;
fn add(a: i32, b: i32) -> i32 { a + b }
macro_rules! twice { ($a:expr) => { $a * 2 }; }
mod inner { pub fn deep() {} }
