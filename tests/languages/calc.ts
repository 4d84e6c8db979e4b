export interface Shape { area(): number; name: string }
type Pair = [number, number];
enum Colour { Red, Green }
export abstract class Adder<T> implements Shape {
  private total: number = 0;
  area(): number { return add(this.total, 1); }
  abstract empty(): void;
}
export function add(a: number, b: number): Pair { return [a, b]; }
namespace Inner { export const x = 1; }
