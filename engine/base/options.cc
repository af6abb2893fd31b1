// What every option struct accepts. Runs at the head of the call that takes the struct, on the
// caller's thread, before anything else is looked at.
// Always holds: an error names the field as it is spelled in options.h and says what would be
// valid.
#include "vecserve/options.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/base/limits.h"
#include "engine/base/names.h"

namespace vecserve {

namespace limits = engine::limits;

namespace {

Status out_of_range(std::string field, std::string_view range) {
  return Status::invalid_argument(std::move(field), "must be " + std::string(range));
}

Status validate_filter(std::string_view filter) {
  if (filter.size() > limits::filter_bytes_max) {
    return Status::invalid_argument("filter", "longer than 1 MiB");
  }
  return {};
}

}  // namespace

std::string_view to_string(Durability durability) {
  return durability == Durability::sync ? "sync" : "process";
}

std::string_view to_string(FieldType type) {
  switch (type) {
    case FieldType::number:
      return "number";
    case FieldType::string:
      return "string";
    case FieldType::boolean:
      return "boolean";
  }
  return "unknown";
}

std::optional<FieldType> parse_field_type(std::string_view text) {
  for (const FieldType type : {FieldType::number, FieldType::string, FieldType::boolean}) {
    if (to_string(type) == text) {
      return type;
    }
  }
  return std::nullopt;
}

std::string_view to_string(Planes planes) {
  switch (planes) {
    case Planes::automatic:
      return "automatic";
    case Planes::full:
      return "full";
    case Planes::coarse:
      return "coarse";
    case Planes::sketch:
      return "sketch";
  }
  return "unknown";
}

std::optional<Planes> parse_planes(std::string_view text) {
  for (const Planes planes : {Planes::automatic, Planes::full, Planes::coarse, Planes::sketch}) {
    if (to_string(planes) == text) {
      return planes;
    }
  }
  return std::nullopt;
}

Status DatabaseOptions::validate() const {
  if (static_cast<unsigned>(planes) > static_cast<unsigned>(Planes::sketch)) {
    return out_of_range("planes", "automatic, full, coarse or sketch");
  }
  if (durability != Durability::sync && durability != Durability::process) {
    return out_of_range("durability", "sync or process");
  }
  if (threads > limits::threads_max) {
    return out_of_range("threads", "between 0 and 256");
  }
  if (!(rewrite_below_live_share >= 0.0 && rewrite_below_live_share <= 0.95)) {
    return out_of_range("rewrite_below_live_share", "between 0 and 0.95");
  }
  if (write_buffer_bytes < (std::size_t{1} << 20) || write_buffer_bytes > (std::size_t{1} << 34)) {
    return out_of_range("write_buffer_bytes", "between 1 MiB and 16 GiB");
  }
  return {};
}

Status CollectionOptions::validate() const {
  if (dim == 0 || dim > limits::dim_max) {
    return out_of_range("dim", "between 1 and 65536");
  }
  if (static_cast<unsigned>(metric) > static_cast<unsigned>(Metric::hamming)) {
    return out_of_range("metric", "l2, dot, cosine, l1 or hamming");
  }
  if (static_cast<unsigned>(type) > static_cast<unsigned>(ScalarType::bit)) {
    return out_of_range("type", "f32, f16, bf16, i8, u8 or bit");
  }
  if ((metric == Metric::hamming) != (type == ScalarType::bit)) {
    return Status::invalid_argument("metric", "hamming goes with bit vectors, and only with them");
  }
  if (fields.size() > limits::fields_max) {
    return out_of_range("fields", "at most 64");
  }
  for (auto field = fields.begin(); field != fields.end(); ++field) {
    if (!engine::is_valid_name(field->name)) {
      return Status::invalid_argument("fields", "a name must be 1 to 64 of A-Z a-z 0-9 _ -");
    }
    if (static_cast<unsigned>(field->type) > static_cast<unsigned>(FieldType::boolean)) {
      return out_of_range("fields", "of type number, string or boolean");
    }
    const auto same = [&](const FieldOptions& other) { return other.name == field->name; };
    if (std::find_if(fields.begin(), field, same) != field) {
      return Status::invalid_argument("fields", "\"" + field->name + "\" is declared twice");
    }
  }
  return {};
}

Status WriteOptions::validate() const {
  if (durability.has_value() && *durability != Durability::sync &&
      *durability != Durability::process) {
    return out_of_range("durability", "sync or process");
  }
  return {};
}

Status SearchOptions::validate() const {
  if (k == 0 || k > limits::k_max) {
    return out_of_range("k", "between 1 and 65536");
  }
  if (!(recall > 0.0 && recall <= 1.0)) {
    return out_of_range("recall", "above 0 and at most 1");
  }
  if (ef > limits::ef_max) {
    return out_of_range("ef", "between 0 and 65536");
  }
  return validate_filter(filter);
}

Status RangeSearchOptions::validate() const {
  if (std::isnan(radius)) {
    return Status::invalid_argument("radius", "is not a number");
  }
  if (limit == 0 || limit > limits::range_rows_max) {
    return out_of_range("limit", "between 1 and 10000000");
  }
  return validate_filter(filter);
}

Status ScanOptions::validate() const {
  if (after.has_value() && !after->is_number() &&
      (after->bytes().empty() || after->bytes().size() > limits::id_bytes_max)) {
    return out_of_range("after", "a number or 1 to 255 bytes");
  }
  return validate_filter(filter);
}

}  // namespace vecserve
