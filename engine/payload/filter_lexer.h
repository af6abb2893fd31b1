// Cuts the text of a filter into tokens. Comes before filter_parser, which drives it; runs on the
// caller's thread. The spellings are described at the head of filter_parser.cc. Always holds: never
// reads outside the text; token.begin <= token.end <= text().size(); an error is a Status of the
// field "filter" that begins with the byte at which it was found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/payload/filter_program.h"
#include "vecserve/status.h"

namespace vecserve::engine {

enum class TokenKind : std::uint8_t {
  end,
  number,
  string,
  field,
  null,
  open,
  close,
  open_list,
  close_list,
  comma,
  logical_not,
  binary,
};

struct FilterToken {
  TokenKind kind = TokenKind::end;
  FilterOp op = FilterOp::literal;  // for binary
  std::size_t begin = 0;
  std::size_t end = 0;
  double number = 0.0;  // for number
  std::string text;     // for string, unescaped; for field, the name
};

// invalid_argument("filter") with the place in front.
[[nodiscard]] Status filter_error(std::size_t byte, std::string_view what);

class FilterLexer {
 public:
  explicit FilterLexer(std::string_view text) : text_(text) {}

  [[nodiscard]] Status next(FilterToken& token);

  // When a digit follows the minus sign that `token` is, makes it that negative number.
  [[nodiscard]] Status join_sign(FilterToken& token);

  [[nodiscard]] std::string_view text() const { return text_; }

 private:
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_digits();
  Status scan(FilterToken& token);
  Status number(FilterToken& token);
  Status field(FilterToken& token);
  Status word(FilterToken& token);
  Status string(FilterToken& token);
  Status escape(std::string& out);
  Status unicode(std::string& out);
  std::optional<std::uint32_t> code_unit();

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace vecserve::engine
