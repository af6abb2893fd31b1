#!/usr/bin/env bash
# Builds, checks and times the GPU engine in one call on a machine that has a device, the CUDA
# Toolkit, CMake and Python with PyTorch, from the repository alone; `./run gpu` calls it. The
# headers of Catch2, CLI11 and nlohmann-json are carried in: `headers` gathers them where they are
# installed, in build-gpu/headers. Prints a short table at the end and leaves every line in OUT.
#   tools/bench/gpu.sh [--out OUT] [STAGE...]    stages: headers build check sanitize time table
# Without a stage: all but headers, one after the other; each of them alone takes a few minutes.
#   VECSERVE_GPU_ARCH    architectures to compile for (native)
#   VECSERVE_GPU_QUICK   1: small shapes and short runs, to see that everything runs
# Invariant: the first failure ends the run, with what was done so far in OUT.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=build-gpu/out
if [ "${1:-}" = --out ]; then
  out=${2:?usage: tools/bench/gpu.sh [--out OUT] [STAGE...]}
  shift 2
fi
mkdir -p "$out"
out=$(realpath "$out")
headers=$PWD/build-gpu/headers
say() { printf '== %s\n' "$*" >&2; }
die() {
  printf 'gpu.sh: %s\n' "$*" >&2
  exit 1
}

# Catch2's one header, CLI11 and nlohmann-json, from where the distribution installs them.
stage_headers() {
  local name from
  mkdir -p "$headers"
  for name in catch2 CLI nlohmann; do
    for from in /usr/include /usr/local/include; do
      [ ! -d "$from/$name" ] || cp -rL "$from/$name" "$headers/"
    done
    [ -d "$headers/$name" ] || die "$name/ is not installed here"
  done
  du -sh "$headers" >&2
}

# Stand-ins for Catch2's package: its header is carried in, and every program is one test.
catch2_package() {
  mkdir -p build-gpu/cmake
  printf '# The header is carried in; there is nothing to link.\n' >build-gpu/cmake/Catch2Config.cmake
  cat >build-gpu/cmake/Catch2ConfigVersion.cmake <<'CMAKE'
set(PACKAGE_VERSION 2.13.10)
set(PACKAGE_VERSION_COMPATIBLE TRUE)
CMAKE
  cat >build-gpu/cmake/Catch.cmake <<'CMAKE'
function(catch_discover_tests NAME)
  add_test(NAME ${NAME} COMMAND ${NAME})
endfunction()
CMAKE
}

stage_build() {
  local generator=(-G Ninja)
  [ -d "$headers/catch2" ] || die "no headers in build-gpu/headers: run the stage headers first"
  command -v ninja >/dev/null || generator=()
  catch2_package
  say "build for ${VECSERVE_GPU_ARCH:-native}"
  cmake -S . -B build-gpu "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DVECSERVE_STORE=OFF \
    -DVECSERVE_CUDA=ON -DVECSERVE_HIGHWAY=AUTO -DCMAKE_CXX_FLAGS="-isystem $headers" \
    -DCMAKE_CUDA_ARCHITECTURES="${VECSERVE_GPU_ARCH:-native}" \
    -DCATCH2_INCLUDE_DIR="$headers" -DCatch2_DIR="$PWD/build-gpu/cmake" \
    -DCMAKE_MODULE_PATH="$PWD/build-gpu/cmake" >"$out/configure.log" 2>&1 ||
    { tail -n 30 "$out/configure.log" >&2 && die "configure failed"; }
  cmake --build build-gpu -j "$(nproc)" --target scanner_gpu_test scanner_test unit_gpu bench_gpu \
    >"$out/build.log" 2>&1 || { grep -A 5 error "$out/build.log" >&2 || true; die "build failed"; }
}

# The kernels' sources under the emulator, then on the device.
stage_check() {
  say "check"
  build-gpu/bin/unit_gpu >"$out/unit_gpu.log" || { tail -n 40 "$out/unit_gpu.log" && exit 1; }
  tail -n 2 "$out/unit_gpu.log"
  build-gpu/bin/scanner_test >"$out/scanner_test.log" ||
    { tail -n 40 "$out/scanner_test.log" && exit 1; }
  tail -n 2 "$out/scanner_test.log"
  build-gpu/bin/scanner_gpu_test >"$out/scanner_gpu_test.log" ||
    { tail -n 40 "$out/scanner_gpu_test.log" && exit 1; }
  tail -n 2 "$out/scanner_gpu_test.log"
}

# The illegal access on purpose is not for the sanitizer.
stage_sanitize() {
  local tool
  for tool in memcheck racecheck; do
    say "compute-sanitizer $tool"
    compute-sanitizer --tool "$tool" --error-exitcode 1 \
      build-gpu/bin/scanner_gpu_test '~*illegal access*' >"$out/$tool.log" 2>&1 ||
      { tail -n 40 "$out/$tool.log" && exit 1; }
    tail -n 1 "$out/$tool.log"
  done
}

# Many queries by one kernel and by the other, in turns; a device has the first, or both.
time_kernels() {
  local dim kernel turn lines=$out/bench_gpu.jsonl smoke=() code
  [ "${VECSERVE_GPU_QUICK:-0}" != 1 ] || smoke=(--smoke)
  for dim in 128 768; do
    for turn in 1 2; do
      for kernel in mma wgmma; do
        say "1000000 x $dim, many queries by $kernel, turn $turn"
        code=0
        build-gpu/bin/bench_gpu --rows 1000000 --dim "$dim" "${smoke[@]}" --only groups \
          --group-kernel "$kernel" --json - >>"$lines" || code=$?
        [ "$code" = 0 ] || { [ "$code" = 77 ] && [ "$kernel" = wgmma ]; } || exit "$code"
      done
    done
  done
}

# With the vectors on the device and without, in turns.
time_vectors() {
  local turn without lines=$out/bench_gpu.jsonl smoke=()
  [ "${VECSERVE_GPU_QUICK:-0}" != 1 ] || smoke=(--smoke)
  for turn in 1 2; do
    for without in '' --no-full; do
      say "1000000 x 768, vectors${without:+ not} on the device, turn $turn"
      build-gpu/bin/bench_gpu --rows 1000000 --dim 768 "${smoke[@]}" --only vectors \
        ${without:+"$without"} --json - >>"$lines"
    done
  done
}

# Random unit vectors, the worst case, then a decaying spectrum.
stage_time() {
  local rows dim data cases lines=$out/bench_gpu.jsonl
  say "time"
  : >"$lines"
  while read -r rows dim data cases; do
    say "$rows x $dim $data"
    if [ "${VECSERVE_GPU_QUICK:-0}" = 1 ]; then
      build-gpu/bin/bench_gpu --smoke --data "$data" --json - >>"$lines"
    else
      build-gpu/bin/bench_gpu --rows "$rows" --dim "$dim" --data "$data" --only "$cases" \
        --json - >>"$lines"
    fi
  done <<'SHAPES'
1000000 768 unit loopback,exact,filter,delete
1000000 768 decaying exact,filter
1000000 128 unit exact,filter,delete,insert
10000000 128 unit exact,filter
SHAPES
  time_kernels
  time_vectors
  wc -l "$lines" >&2
}

stage_table() {
  python3 tools/bench/gpu_peers.py "$out/bench_gpu.jsonl" | tee "$out/table.txt"
}

stages=("$@")
[ $# -gt 0 ] || stages=(build check time table sanitize)
for stage in "${stages[@]}"; do
  case "$stage" in
    headers | build | check | sanitize | time | table) "stage_$stage" ;;
    *) die "unknown stage: $stage (headers build check sanitize time table)" ;;
  esac
done
