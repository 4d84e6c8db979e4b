import { add } from './add';
export const LIMIT = 3;
export class Adder extends Base {
  total = 0;
  value() { return add(this.total, LIMIT); }
}
function twice(a) {
  return add(a, a);
}
const half = (a) => a / 2;
