// The tokens of a filter's text: symbols, words, numbers, strings with their escapes, field names.
// Driven by filter_parser, one token at a time, on the caller's thread. Always holds: a string
// token is valid UTF-8; a number token is a finite double.
#include "engine/payload/filter_lexer.h"

#include <simdjson.h>

#include <charconv>

namespace vecserve::engine {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_name(char c) {
  return is_digit(c) || is_letter(c) || c == '_' || c == '-';
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct Spelling {
  std::string_view text;
  TokenKind kind;
  FilterOp op;
};

// Longer spellings come before those that begin them.
constexpr Spelling kSymbols[] = {
    {"**", TokenKind::binary, FilterOp::power},
    {">=", TokenKind::binary, FilterOp::greater_equal},
    {"<=", TokenKind::binary, FilterOp::less_equal},
    {"==", TokenKind::binary, FilterOp::equal},
    {"!=", TokenKind::binary, FilterOp::not_equal},
    {"&&", TokenKind::binary, FilterOp::logical_and},
    {"||", TokenKind::binary, FilterOp::logical_or},
    {"*", TokenKind::binary, FilterOp::multiply},
    {"/", TokenKind::binary, FilterOp::divide},
    {"%", TokenKind::binary, FilterOp::modulo},
    {"+", TokenKind::binary, FilterOp::add},
    {"-", TokenKind::binary, FilterOp::subtract},
    {">", TokenKind::binary, FilterOp::greater},
    {"<", TokenKind::binary, FilterOp::less},
    {"!", TokenKind::logical_not, FilterOp::logical_not},
    {"(", TokenKind::open, FilterOp::literal},
    {")", TokenKind::close, FilterOp::literal},
    {"[", TokenKind::open_list, FilterOp::literal},
    {"]", TokenKind::close_list, FilterOp::literal},
    {",", TokenKind::comma, FilterOp::literal},
};

constexpr Spelling kWords[] = {
    {"and", TokenKind::binary, FilterOp::logical_and},
    {"or", TokenKind::binary, FilterOp::logical_or},
    {"in", TokenKind::binary, FilterOp::in},
    {"not", TokenKind::logical_not, FilterOp::logical_not},
    {"null", TokenKind::null, FilterOp::literal},
    {"true", TokenKind::number, FilterOp::literal},
    {"false", TokenKind::number, FilterOp::literal},
};

}  // namespace

Status filter_error(std::size_t byte, std::string_view what) {
  return Status::invalid_argument("filter",
                                  "at byte " + std::to_string(byte) + ": " + std::string(what));
}

Status FilterLexer::next(FilterToken& token) {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  token.begin = at_;
  VECSERVE_TRY(scan(token));
  token.end = at_;
  return {};
}

Status FilterLexer::join_sign(FilterToken& token) {
  if (token.end >= text_.size() || !is_digit(text_[token.end])) return {};
  at_ = token.begin;
  return number(token);
}

void FilterLexer::skip_digits() {
  while (is_digit(peek())) ++at_;
}

Status FilterLexer::number(FilterToken& token) {
  const std::size_t begin = at_;
  if (text_[at_] == '-') ++at_;
  skip_digits();
  if (peek() == '.') {
    ++at_;
    if (!is_digit(peek())) return filter_error(at_, "expected a digit after the decimal point");
    skip_digits();
  }
  if (peek() == 'e' || peek() == 'E') {
    ++at_;
    if (peek() == '+' || peek() == '-') ++at_;
    if (!is_digit(peek())) return filter_error(at_, "expected the digits of an exponent");
    skip_digits();
  }
  if (is_letter(peek()) || peek() == '_' || peek() == '.') {
    return filter_error(at_, "expected a space or an operator after the number");
  }
  const char* const end = text_.data() + at_;
  const auto result = std::from_chars(text_.data() + begin, end, token.number);
  if (result.ec != std::errc()) return filter_error(begin, "the number does not fit a double");
  token.kind = TokenKind::number;
  token.begin = begin;
  token.end = at_;
  return {};
}

Status FilterLexer::scan(FilterToken& token) {
  if (at_ == text_.size()) {
    token.kind = TokenKind::end;
    return {};
  }
  const char c = text_[at_];
  if (is_digit(c)) return number(token);
  if (c == '"' || c == '\'') return string(token);
  if (c == '.') return field(token);
  if (is_letter(c) || c == '_') return word(token);
  for (const Spelling& symbol : kSymbols) {
    if (!text_.substr(at_).starts_with(symbol.text)) continue;
    at_ += symbol.text.size();
    token.kind = symbol.kind;
    token.op = symbol.op;
    return {};
  }
  if (c == '=') return filter_error(at_, "expected == (one = means nothing here)");
  if (c == '&' || c == '|') return filter_error(at_, "expected && or ||");
  return filter_error(at_, "a character that means nothing outside a string");
}

Status FilterLexer::field(FilterToken& token) {
  const std::size_t begin = ++at_;
  while (at_ < text_.size() && is_name(text_[at_])) ++at_;
  if (at_ == begin) return filter_error(at_, "expected the name of a field after the dot");
  token.kind = TokenKind::field;
  token.text.assign(text_.substr(begin, at_ - begin));
  return {};
}

Status FilterLexer::word(FilterToken& token) {
  const std::size_t begin = at_;
  while (at_ < text_.size() && is_name(text_[at_])) ++at_;
  const std::string_view word = text_.substr(begin, at_ - begin);
  for (const Spelling& known : kWords) {
    if (word != known.text) continue;
    token.kind = known.kind;
    token.op = known.op;
    token.number = word == "true" ? 1.0 : 0.0;
    return {};
  }
  return filter_error(begin, "an unknown word (a field is written .name, a string \"text\")");
}

Status FilterLexer::string(FilterToken& token) {
  const std::size_t begin = at_;
  const char quote = text_[at_++];
  token.kind = TokenKind::string;
  token.text.clear();
  while (at_ < text_.size() && text_[at_] != quote) {
    if (text_[at_] == '\\') {
      VECSERVE_TRY(escape(token.text));
    } else {
      token.text.push_back(text_[at_++]);
    }
  }
  if (at_ == text_.size()) return filter_error(begin, "the string is not closed");
  const std::string_view raw = text_.substr(begin, at_ - begin);
  if (!simdjson::validate_utf8(raw.data(), raw.size())) {
    return filter_error(begin, "the string is not valid UTF-8");
  }
  ++at_;
  return {};
}

Status FilterLexer::escape(std::string& out) {
  constexpr std::string_view kLetters = "\"'\\/bfnrt";
  constexpr std::string_view kMeanings = "\"'\\/\b\f\n\r\t";
  const std::size_t begin = at_++;
  if (peek() == 'u') {
    at_ = begin;
    return unicode(out);
  }
  const std::size_t index = at_ < text_.size() ? kLetters.find(text_[at_]) : std::string::npos;
  if (index == std::string_view::npos) return filter_error(begin, "an unknown escape");
  out.push_back(kMeanings[index]);
  ++at_;
  return {};
}

// Four hexadecimal digits behind \u.
std::optional<std::uint32_t> FilterLexer::code_unit() {
  if (!text_.substr(at_).starts_with("\\u") || text_.size() - at_ < 6) return std::nullopt;
  std::uint32_t unit = 0;
  const char* const first = text_.data() + at_ + 2;
  const auto result = std::from_chars(first, first + 4, unit, 16);
  if (result.ptr != first + 4 || result.ec != std::errc()) return std::nullopt;
  at_ += 6;
  return unit;
}

Status FilterLexer::unicode(std::string& out) {
  const std::size_t begin = at_;
  const auto wrong = [begin] {
    return filter_error(begin, "expected \\u and four hexadecimal digits of a character");
  };
  const std::optional<std::uint32_t> first = code_unit();
  if (!first || (*first >= 0xdc00 && *first <= 0xdfff)) return wrong();
  std::uint32_t code = *first;
  if (code >= 0xd800 && code <= 0xdbff) {  // the first half of a pair
    const std::optional<std::uint32_t> second = code_unit();
    if (!second || *second < 0xdc00 || *second > 0xdfff) return wrong();
    code = 0x10000 + ((code - 0xd800) << 10) + (*second - 0xdc00);
  }
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else {
    if (code < 0x10000) {
      put(0xe0 | (code >> 12));
    } else {
      put(0xf0 | (code >> 18));
      put(0x80 | ((code >> 12) & 0x3f));
    }
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
  return {};
}

}  // namespace vecserve::engine
