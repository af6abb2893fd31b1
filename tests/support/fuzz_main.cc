// The main() of a fuzz target in normal builds: replays every file of the corpus, then a fixed
// number of seeded mutations of them, so that fuzz targets run under ctest and under every
// sanitizer with g++. The fuzz preset links libFuzzer instead. One thread. Invariant: the same seed
// and corpus give the same inputs, and the seed is printed before the first of them runs.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kInputBytesMax = 64 * 1024;

struct Options {
  std::filesystem::path corpus;
  std::uint64_t mutations = 20'000;
  std::uint64_t seed = 1;
};

// The values that break parsers: limits of the integer types and bytes with a meaning.
constexpr std::array<std::uint8_t, 16> kLikelyBytes = {
    0x00, 0x01, 0x7f, 0x80, 0xff, '"', '\\', '{', '}', '[', ']', '(', ')', '.', '-', '0'};

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  // One to eight small changes.
  void mutate(Bytes& bytes, const Bytes& other) {
    const std::size_t changes = 1 + below(8);
    for (std::size_t i = 0; i < changes; ++i) change_once(bytes, other);
    if (bytes.size() > kInputBytesMax) bytes.resize(kInputBytesMax);
  }

 private:
  void change_once(Bytes& bytes, const Bytes& other) {
    switch (below(8)) {
      case 0:
        flip_bit(bytes);
        break;
      case 1:
        overwrite(bytes, static_cast<std::uint8_t>(random_()));
        break;
      case 2:
        overwrite(bytes, kLikelyBytes[below(kLikelyBytes.size())]);
        break;
      case 3:
        insert(bytes, kLikelyBytes[below(kLikelyBytes.size())]);
        break;
      case 4:
        insert(bytes, static_cast<std::uint8_t>(random_()));
        break;
      case 5:
        remove_part(bytes);
        break;
      case 6:
        repeat_part(bytes);
        break;
      default:
        splice(bytes, other);
        break;
    }
  }

  void flip_bit(Bytes& bytes) {
    if (bytes.empty()) return;
    const auto bit = static_cast<unsigned>(below(8));
    bytes[below(bytes.size())] ^= static_cast<std::uint8_t>(1U << bit);
  }

  void overwrite(Bytes& bytes, std::uint8_t value) {
    if (!bytes.empty()) bytes[below(bytes.size())] = value;
  }

  void insert(Bytes& bytes, std::uint8_t value) {
    bytes.insert(at(bytes, below(bytes.size() + 1)), value);
  }

  void remove_part(Bytes& bytes) {
    const std::size_t from = below(bytes.size());
    const std::size_t count = below(std::min<std::size_t>(bytes.size() - from, 32) + 1);
    bytes.erase(at(bytes, from), at(bytes, from + count));
  }

  void repeat_part(Bytes& bytes) {
    const std::size_t from = below(bytes.size());
    const std::size_t count = below(std::min<std::size_t>(bytes.size() - from, 32) + 1);
    const Bytes part(at(bytes, from), at(bytes, from + count));
    bytes.insert(at(bytes, below(bytes.size() + 1)), part.begin(), part.end());
  }

  // The head of one input and the tail of another.
  void splice(Bytes& bytes, const Bytes& other) {
    bytes.resize(below(bytes.size() + 1));
    const std::size_t from = below(other.size() + 1);
    bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
  }

  static Bytes::iterator at(Bytes& bytes, std::size_t index) {
    return bytes.begin() + static_cast<std::ptrdiff_t>(index);
  }

  std::mt19937_64 random_;
};

void run_one(const Bytes& bytes) {
  // A copy of exactly this size (never null), so that a read past the end is caught by the
  // sanitizers.
  const auto exact = std::make_unique<std::uint8_t[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), exact.get());
  LLVMFuzzerTestOneInput(exact.get(), bytes.size());
}

std::vector<Bytes> load_corpus(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.is_regular_file()) paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> inputs;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

bool parse(int argc, char* argv[], Options& options) {
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) return false;
    if (name == "--corpus") {
      options.corpus = argv[i + 1];
    } else if (name == "--mutations") {
      options.mutations = std::strtoull(argv[i + 1], nullptr, 10);
    } else if (name == "--seed") {
      options.seed = std::strtoull(argv[i + 1], nullptr, 10);
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char* argv[]) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::cerr << "usage: " << argv[0] << " [--corpus FOLDER] [--mutations N] [--seed N]\n";
    return 2;
  }
  std::vector<Bytes> inputs = load_corpus(options.corpus);
  std::cout << "seed " << options.seed << ", " << inputs.size() << " corpus files, "
            << options.mutations << " mutations" << std::endl;
  for (const Bytes& input : inputs) run_one(input);
  inputs.emplace_back();  // the empty input is always a case, and a start for mutations
  run_one(inputs.back());
  Mutator mutator(options.seed);
  for (std::uint64_t i = 0; i < options.mutations; ++i) {
    Bytes bytes = inputs[mutator.below(inputs.size())];
    mutator.mutate(bytes, inputs[mutator.below(inputs.size())]);
    run_one(bytes);
  }
  return 0;
}
