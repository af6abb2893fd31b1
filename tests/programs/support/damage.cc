// Drawing and doing damage. Comes below corruption_sweep; main thread. Always holds: only the
// copy's own files are written, never one that is a hard link into the image. A damage that would
// change nothing is drawn again by the caller.
#include "tests/programs/support/damage.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

namespace vecserve::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kZeroBytes = 4096;

// Names that a crash, an operator or an attacker may leave: leftovers of RocksDB's own kinds with
// numbers above and below the live ones, and things that belong to nobody.
constexpr std::array<const char*, 12> kStrayNames = {
    "000001.log", "999999.log",     "000002.sst", "999999.sst", "MANIFEST-999999", "CURRENT.dbtmp",
    "x.dbtmp",    "OPTIONS-999999", "core",       "lost+found", "LOG.old.1",       "notes.txt"};

// What rows, or the knowledge of them, stand in is hit more often than what only lies beside them.
constexpr std::size_t kDataWeight = 4;
bool holds_data(const std::string& file_class) {
  return file_class == "sst" || file_class == "wal" || file_class == "manifest";
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::map<std::string, std::vector<std::string>> files_by_class(const std::string& image) {
  std::map<std::string, std::vector<std::string>> classes;
  for (const auto& entry : fs::recursive_directory_iterator(image)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = fs::relative(entry.path(), image).string();
    classes[file_class_of(name)].push_back(name);
  }
  for (auto& [name, files] : classes) std::sort(files.begin(), files.end());
  return classes;
}

}  // namespace

const char* damage_name(DamageKind kind) {
  switch (kind) {
    case DamageKind::flip:
      return "flip";
    case DamageKind::truncate:
      return "truncate";
    case DamageKind::zero:
      return "zero";
    case DamageKind::remove:
      return "delete";
    case DamageKind::stray:
      return "stray";
  }
  return "";
}

std::string file_class_of(const std::string& name) {
  const fs::path path(name);
  const std::string base = path.filename().string();
  if (path.extension() == ".sst") return "sst";
  if (path.extension() == ".log") return "wal";
  if (base.starts_with("MANIFEST-")) return "manifest";
  if (base.starts_with("OPTIONS-")) return "options";
  if (base.starts_with("LOG")) return "info_log";
  return base;  // CURRENT, IDENTITY, LOCK and the files of our own
}

Damage draw_damage(const std::string& image, Dice& dice) {
  Damage damage;
  damage.kind = static_cast<DamageKind>(dice.below(kDamageKinds));
  damage.seed = dice.next();
  if (damage.kind == DamageKind::stray) {
    damage.file = kStrayNames[dice.below(kStrayNames.size())];
    damage.file_class = "stray";
    return damage;
  }
  const auto classes = files_by_class(image);
  std::vector<std::string> names;
  for (const auto& [name, files] : classes) {
    names.insert(names.end(), holds_data(name) ? kDataWeight : 1, name);
  }
  damage.file_class = names[dice.below(names.size())];
  const std::vector<std::string>& files = classes.at(damage.file_class);
  damage.file = files[dice.below(files.size())];
  const std::uint64_t size = fs::file_size(fs::path(image) / damage.file);
  switch (damage.kind) {
    case DamageKind::flip:
      damage.at = size == 0 ? 0 : dice.below(size * 8);
      break;
    // Half of the cuts take only a little off the end, where formats hide their footers.
    case DamageKind::truncate:
      damage.at = size == 0          ? 0
                  : dice.percent(50) ? dice.below(size)
                                     : size - std::min(size, dice.between(1, 64));
      break;
    case DamageKind::zero:
      damage.at = size == 0 ? 0 : dice.below(size);
      break;
    default:
      break;
  }
  return damage;
}

bool apply_damage(const std::string& folder, const Damage& damage) {
  const fs::path path = fs::path(folder) / damage.file;
  if (damage.kind == DamageKind::remove) return fs::remove(path);
  if (damage.kind == DamageKind::stray) {
    if (fs::exists(path)) return false;
    Dice dice(damage.seed);
    std::string bytes(dice.percent(25) ? 0 : dice.between(1, 5000), '\0');
    for (char& byte : bytes) byte = static_cast<char>(dice.next());
    write_file(path, bytes);
    return true;
  }
  std::string bytes = read_file(path);
  if (bytes.empty()) return false;
  const std::string before = bytes;
  if (damage.kind == DamageKind::flip) {
    bytes[damage.at / 8] = static_cast<char>(bytes[damage.at / 8] ^ (1 << (damage.at % 8)));
  } else if (damage.kind == DamageKind::truncate) {
    bytes.resize(damage.at);
  } else {
    const std::uint64_t end = std::min<std::uint64_t>(bytes.size(), damage.at + kZeroBytes);
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(damage.at),
              bytes.begin() + static_cast<std::ptrdiff_t>(end), '\0');
  }
  if (bytes == before) return false;
  write_file(path, bytes);
  return true;
}

}  // namespace vecserve::test
