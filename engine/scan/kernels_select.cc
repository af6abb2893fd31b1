// Which kernel table a database uses: by option, by environment, or the best that runs here. Called
// once at open, before any scanner is made. Any thread.
// Always holds: "generic" is always a choice, and a name that does not run here is never replaced
// quietly by another.
#include <cstdlib>
#include <string>

#include "engine/scan/cpu_scanner.h"
#include "engine/scan/kernels.h"

namespace vecserve::engine {
namespace {

std::vector<const KernelTable*> usable_tables() {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : highway_kernels()) {
    if (table->supported()) tables.push_back(table);
  }
  tables.push_back(&generic_kernels());
  return tables;
}

}  // namespace

std::vector<std::string_view> kernel_names() {
  std::vector<std::string_view> names;
  for (const KernelTable* table : usable_tables()) names.emplace_back(table->name);
  return names;
}

Result<const KernelTable*> choose_kernels(std::string_view name) {
  if (name.empty()) {
    const char* forced = std::getenv("VECSERVE_KERNELS");
    if (forced != nullptr) name = forced;
  }
  const std::vector<const KernelTable*> tables = usable_tables();
  if (name.empty()) return tables.front();
  std::string usable;
  for (const KernelTable* table : tables) {
    if (name == table->name) return table;
    if (!usable.empty()) usable += ", ";
    usable += table->name;
  }
  return Status::invalid_argument(
      "kernels", "no kernels named \"" + std::string(name) + "\" run here; these do: " + usable);
}

std::string_view kernel_name(const KernelTable& table) {
  return table.name;
}

}  // namespace vecserve::engine
