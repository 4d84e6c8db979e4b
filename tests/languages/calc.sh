LIMIT=3
export NAME=x
add() {
  echo $(($1 + $2))
}
function twice {
  add "$1" "$LIMIT"
}
