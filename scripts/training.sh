# What the trainings on sets of real images share; sourced in the root of the checkout, and told in the name of
# the script that sources it.
name=$(basename "$0")

fail() { echo "$name: $*" >&2; exit 1; }
misused() { echo "$name: unknown argument $1; usage: scripts/$name $2" >&2; exit 2; }

# find_parts SET FOLDER: `osprey`, the program, and `shared`, the folder that has datasets/SET/FOLDER.
find_parts() {
  osprey=${OSPREY_BUILD:-build}/osprey
  [[ -x $osprey ]] || fail "$osprey is not built: run scripts/quickstart or scripts/test first"
  shared=$(realpath -m "${OSPREY_SHARED:-../shared}")
  [[ -d $shared/datasets/$1/$2 ]] ||
    fail "$shared/datasets/$1 is missing: set OSPREY_SHARED to the folder above datasets/"
}

# train OUT BAR SPLIT ARGUMENTS...: fails below BAR percent of mAP@0.5 on SPLIT, if there is a bar.
train() {
  local out=$1 bar=$2 split=$3 map
  shift 3
  "$osprey" train "$@" --out "$out" | tee "$out/train.log"
  map=$(sed -n 's/^mAP@0.5 \([0-9.]*\)% at the end.*/\1/p' "$out/train.log")
  [[ -n $map ]] || fail "the training told no mAP"
  echo "$name: mAP@0.5 $map% on the $split${bar:+ (at least $bar% is asked for)}"
  [[ -z $bar ]] || awk -v map="$map" -v bar="$bar" 'BEGIN { exit !(map >= bar) }' || fail "that is below $bar%"
}
