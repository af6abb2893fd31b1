#!/usr/bin/env bash
# Builds, checks and times the GPU engine in one call on a machine that has a device, the CUDA
# Toolkit, CMake, Ninja and Python with PyTorch, from the repository alone. Catch2's, CLI11's and
# nlohmann's headers are carried in: a folder with catch2/, CLI/ and nlohmann/ is the first argument.
# Prints a short table at the end and leaves every line in the folder that the second one names.
#   tools/bench/gpu.sh HEADERS [OUT]
# Invariant: the first failure ends the run, with what was done so far in OUT.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

headers=$(realpath "${1:?usage: tools/bench/gpu.sh HEADERS [OUT]}")
out=$(realpath -m "${2:-build-gpu/out}")
mkdir -p "$out"
say() { printf '== %s\n' "$*" >&2; }

say "build"
mkdir -p build-gpu/cmake
cat >build-gpu/cmake/Catch2Config.cmake <<'CMAKE'
# Stands in for Catch2's package: its header is carried in, and every program is one test.
CMAKE
cat >build-gpu/cmake/Catch2ConfigVersion.cmake <<'CMAKE'
set(PACKAGE_VERSION 2.13.10)
set(PACKAGE_VERSION_COMPATIBLE TRUE)
CMAKE
cat >build-gpu/cmake/Catch.cmake <<'CMAKE'
function(catch_discover_tests NAME)
  add_test(NAME ${NAME} COMMAND ${NAME})
endfunction()
CMAKE
cmake -S . -B build-gpu -G Ninja -DCMAKE_BUILD_TYPE=Release -DVECSERVE_STORE=OFF \
  -DVECSERVE_CUDA=ON -DVECSERVE_HIGHWAY=AUTO -DCMAKE_CXX_FLAGS="-isystem $headers" \
  -DCATCH2_INCLUDE_DIR="$headers" -DCatch2_DIR="$PWD/build-gpu/cmake" \
  -DCMAKE_MODULE_PATH="$PWD/build-gpu/cmake" >"$out/configure.log"
cmake --build build-gpu --target scanner_gpu_test scanner_test unit_gpu bench_gpu >"$out/build.log"

say "check"
build-gpu/bin/unit_gpu | tail -n 2
build-gpu/bin/scanner_gpu_test | tee "$out/scanner_gpu_test.log" | tail -n 2
for tool in memcheck racecheck; do
  say "compute-sanitizer $tool"
  compute-sanitizer --tool "$tool" --error-exitcode 1 build-gpu/bin/scanner_gpu_test \
    >"$out/$tool.log"
  tail -n 1 "$out/$tool.log"
done

say "time"
for shape in "1000000 768" "1000000 128" "10000000 128"; do
  read -r rows dim <<<"$shape"
  build-gpu/bin/bench_gpu --rows "$rows" --dim "$dim" --json - | tee -a "$out/bench_gpu.jsonl"
done
python3 tools/bench/gpu_peers.py "$out/bench_gpu.jsonl" | tee "$out/table.txt"
