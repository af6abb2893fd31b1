// Files that vecctl imports: what good ones give, and what hostile ones are refused for, before
// anything is allocated for them. Tests the readers of tools/vecctl. One thread; a folder per case.
// Always holds: no file, however wrong, gives anything but rows and one error.
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>

#include "tests/support/dice.h"
#include "tests/support/temporary_folder.h"
#include "tools/vecctl/row_reader.h"
#include "tools/vecctl/text_readers.h"
#include "tools/vecctl/vector_files.h"

namespace vecserve::vecctl {
namespace {

using test::TemporaryFolder;

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

struct Read {
  Status status;
  RowBatch batch;
  std::vector<RowInput> rows;  // into batch
};

Read read_all(const std::string& name, const std::string& bytes, const ReadOptions& options = {}) {
  const TemporaryFolder folder;
  const std::string path = folder.at(name);
  std::ofstream(path, std::ios::binary) << bytes;
  Read read;
  auto reader = open_rows(path, *format_of(name), options);
  read.status = reader.status();
  while (read.status.ok()) {
    const Result<bool> more = (*reader)->read(1'000'000, read.batch);
    read.status = more.status();
    if (!more.ok() || !*more) break;
  }
  read.rows = read.batch.inputs();
  return read;
}

std::vector<float> floats(const RowInput& row) {
  REQUIRE(row.vector.type == ScalarType::f32);
  std::vector<float> values(row.vector.dim);
  std::memcpy(values.data(), row.vector.data, values.size() * sizeof(float));
  return values;
}

std::string npy(const std::string& header, const std::string& body, char version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += version;
  bytes += '\0';
  if (version == 1) {
    put(bytes, static_cast<std::uint16_t>(header.size()));
  } else {
    put(bytes, static_cast<std::uint32_t>(header.size()));
  }
  return bytes + header + body;
}

std::string header_of(const std::string& type, const std::string& shape,
                      const std::string& order = "False") {
  return "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }  \n";
}

std::string body_of(const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) put(bytes, value);
  return bytes;
}

TEST_CASE("vecctl npy: rows of every type, in both header versions") {
  for (const char version : {'\1', '\2', '\3'}) {
    const Read read = read_all(
        "a.npy", npy(header_of("<f4", "(2, 3)"), body_of({1, 2, 3, 4, 5, 6}), version), {10, true});
    REQUIRE(read.status.ok());
    REQUIRE(read.rows.size() == 2);
    CHECK(read.rows[0].id == RowId(10));
    CHECK(read.rows[1].id == RowId(11));
    CHECK(floats(read.rows[1]) == std::vector<float>{4, 5, 6});
  }
  std::string wide;
  for (const double value : {0.5, -1.5}) put(wide, value);
  const Read doubles = read_all("a.npy", npy(header_of("<f8", "(1, 2)"), wide));
  REQUIRE(doubles.rows.size() == 1);
  CHECK(floats(doubles.rows[0]) == std::vector<float>{0.5F, -1.5F});
  const Read bytes = read_all("a.npy", npy(header_of("|u1", "(2, 2)"), "\x01\x02\x03\xff"));
  REQUIRE(bytes.rows.size() == 2);
  CHECK(bytes.rows[1].vector.type == ScalarType::u8);
  CHECK(static_cast<const unsigned char*>(bytes.rows[1].vector.data)[1] == 255);
  CHECK(read_all("a.npy", npy(header_of("|i1", "(1, 2)"), "ab")).rows[0].vector.type ==
        ScalarType::i8);
  CHECK(read_all("a.npy", npy(header_of("<f2", "(1, 1)"), "ab")).rows[0].vector.type ==
        ScalarType::f16);
  const Read none = read_all("a.npy", npy(header_of("<f4", "(0, 3)"), ""));
  CHECK(none.status.ok());
  CHECK(none.rows.empty());
}

TEST_CASE("vecctl npy: a header that promises what is not there is refused by name") {
  const std::string six = body_of({1, 2, 3, 4, 5, 6});
  const std::vector<std::string> wrong = {
      "",
      "\x93NUMPY",
      "NOTNUMPY" + std::string(100, ' '),
      npy(header_of("<f4", "(2, 3)"), six, '\4'),
      npy(header_of("<f4", "(2, 3)"), six.substr(1)),
      npy(header_of("<f4", "(2, 3)"), six + "x"),
      npy(header_of("<f4", "(3, 3)"), six),
      npy(header_of("<f4", "(6)"), six),
      npy(header_of("<f4", "(2, 3, 1)"), six),
      npy(header_of("<f4", "(2, 0)"), ""),
      npy(header_of("<f4", "(1, 65537)"), six),
      npy(header_of("<f4", "(4611686018427387904, 1)"), six),
      npy(header_of("<f4", "(18446744073709551615, 65536)"), six),
      npy(header_of("<f4", "(18446744073709551616, 1)"), six),
      npy(header_of("<f4", "(-2, 3)"), six),
      npy(header_of("<f4", "(2, 3"), six),
      npy(header_of("<f4", "(2, 3)", "True"), six),
      npy(header_of(">f4", "(2, 3)"), six),
      npy(header_of("<i8", "(1, 3)"), six),
      npy(header_of("|O", "(2, 3)"), six),
      npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}", six),
      npy("{}", six),
      npy("", six),
  };
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    CAPTURE(i);
    const Read read = read_all("a.npy", wrong[i]);
    CHECK(read.status.code() == StatusCode::invalid_argument);
    CHECK(read.status.field() == "file");
    CHECK(read.rows.empty());
  }
  std::string huge = "\x93NUMPY";
  huge += '\2';
  huge += '\0';
  put(huge, std::uint32_t{0xFFFFFFFF});
  CHECK(read_all("a.npy", huge + "{}").status.code() == StatusCode::invalid_argument);
}

TEST_CASE("vecctl fvecs and bvecs: rows with their dimension in front") {
  std::string bytes;
  for (const float first : {1.0F, 3.0F}) {
    put(bytes, std::uint32_t{2});
    bytes += body_of({first, first + 1});
  }
  const Read read = read_all("a.fvecs", bytes);
  REQUIRE(read.status.ok());
  REQUIRE(read.rows.size() == 2);
  CHECK(floats(read.rows[1]) == std::vector<float>{3, 4});
  std::string small;
  put(small, std::uint32_t{3});
  small += "abc";
  const Read chars = read_all("a.bvecs", small);
  REQUIRE(chars.rows.size() == 1);
  CHECK(chars.rows[0].vector.type == ScalarType::u8);
  CHECK(chars.rows[0].vector.dim == 3);
}

TEST_CASE("vecctl fvecs: dimensions that cannot be, or change, are refused") {
  for (const std::uint32_t dim : {0U, 65'537U, 0x80000000U, 0xFFFFFFFFU}) {
    CAPTURE(dim);
    std::string bytes;
    put(bytes, dim);
    CHECK(read_all("a.fvecs", bytes + body_of({1, 2})).status.code() ==
          StatusCode::invalid_argument);
  }
  CHECK_FALSE(read_all("a.fvecs", "").status.ok());
  CHECK_FALSE(read_all("a.fvecs", "abc").status.ok());
  std::string changing;
  put(changing, std::uint32_t{2});
  changing += body_of({1, 2});
  put(changing, std::uint32_t{1});
  changing += body_of({1, 2});
  const Read read = read_all("a.fvecs", changing);
  CHECK(read.status.code() == StatusCode::invalid_argument);
  CHECK(read.status.message().find("row 1") != std::string::npos);
  CHECK(read.rows.size() == 1);
  CHECK_FALSE(read_all("a.fvecs", changing + "x").status.ok());
}

TEST_CASE("vecctl JSON lines: ids of both kinds, payloads as written, blank lines") {
  const Read read = read_all("a.jsonl",
                             "{\"id\": 18446744073709551615, \"vector\": [1, -2.5e-1]}\n"
                             "\n"
                             "  \r\n"
                             "{\"payload\": {\"b\": 1.50, \"a\": \"\\u00e4\"},"
                             " \"vector\": [], \"id\": \"n\\u00e4me\", \"ttl_ms\": 5}\r\n"
                             "{\"vector\": [0.1]}\n"
                             "{\"id_hex\": \"00fF\", \"vector\": [1]}",
                             {77, true});
  REQUIRE(read.status.ok());
  REQUIRE(read.rows.size() == 4);
  CHECK(read.rows[0].id == RowId(std::uint64_t{18'446'744'073'709'551'615U}));
  CHECK(floats(read.rows[0]) == std::vector<float>{1.0F, -0.25F});
  CHECK_FALSE(read.rows[0].payload.has_value());
  CHECK(read.rows[1].id == RowId("n\xc3\xa4me"));
  CHECK(read.rows[1].payload == "{\"b\": 1.50, \"a\": \"\\u00e4\"}");
  CHECK(read.rows[1].ttl_ms == 5);
  CHECK(read.rows[2].id == RowId(77));
  CHECK(read.rows[3].id == RowId(std::string("\0\xff", 2)));
}

TEST_CASE("vecctl JSON lines: a bad line is refused with its number, the rows before it stay") {
  const std::string good = "{\"id\": 1, \"vector\": [1]}\n";
  for (const std::string bad :
       {"[1]", "{", "{}", "nonsense", "{\"id\": -1, \"vector\": [1]}",
        "{\"id\": 1.5, \"vector\": [1]}", "{\"id\": null, \"vector\": [1]}",
        "{\"id\": 1, \"vector\": [\"a\"]}", "{\"id\": 1, \"vector\": [1}",
        "{\"id\": 1, \"vector\": 1}", "{\"id\": 1, \"vector\": [[1]]}",
        "{\"id\": 1, \"vector\": [1], \"payload\": 3}", "{\"id\": 1, \"vector\": [NaN]}",
        "{\"id\": 1, \"vector\": [1], \"vektor\": [1]}", "{\"id\": 1, \"vector\": [1]} x",
        "{\"id\": 1, \"vector\": [1], \"ttl_ms\": -1}", "{\"id_hex\": \"0\", \"vector\": [1]}",
        "{\"id_hex\": \"zz\", \"vector\": [1]}", "{\"id\": 1, \"vector\": [1]}{\"id\": 2}"}) {
    CAPTURE(bad);
    const Read read = read_all("a.jsonl", good + bad + "\n" + good);
    CHECK(read.status.code() == StatusCode::invalid_argument);
    CHECK(read.status.message().find("a.jsonl:2:") != std::string::npos);
    CHECK(read.rows.size() == 1);
  }
}

TEST_CASE("vecctl JSON lines: lines and vectors beyond their limits are refused") {
  CHECK(read_all("a.jsonl", std::string(kLineBytesMax + 1, ' ')).status.code() ==
        StatusCode::invalid_argument);
  std::string vector = "{\"vector\": [0";
  for (int i = 1; i < 65'536; ++i) vector += ",0";
  const Read most = read_all("a.jsonl", vector + "]}");
  CHECK(most.status.ok());
  REQUIRE(most.rows.size() == 1);
  CHECK(most.rows[0].vector.dim == 65'536);
  CHECK_FALSE(read_all("a.jsonl", vector + ",0]}").status.ok());
  const std::string deep = "{\"vector\": [1], \"payload\": {\"a\":" + std::string(100'000, '[');
  CHECK_FALSE(read_all("a.jsonl", deep).status.ok());
}

TEST_CASE("vecctl CSV: columns are ids, vectors and payload fields") {
  const Read read = read_all("a.csv",
                             "id,v1,v0,title,year,open,note\r\n"
                             "7,2,1,\"A, \"\"b\"\"\nc\",1990,true,\n"
                             "eight,-2,1e-3,007,1.5,no,x\n");
  REQUIRE(read.status.ok());
  REQUIRE(read.rows.size() == 2);
  CHECK(read.rows[0].id == RowId(7));
  CHECK(floats(read.rows[0]) == std::vector<float>{1, 2});
  CHECK(read.rows[0].payload == R"({"title":"A, \"b\"\nc","year":1990,"open":true})");
  CHECK(read.rows[1].id == RowId("eight"));
  CHECK(floats(read.rows[1]) == std::vector<float>{0.001F, -2});
  CHECK(read.rows[1].payload == R"({"title":"007","year":1.5,"open":"no","note":"x"})");
  const Read whole = read_all("a.csv", "vector\n\"[1, 2]\"\n3;4\n", {5, true});
  REQUIRE(whole.rows.size() == 2);
  CHECK(whole.rows[1].id == RowId(6));
  CHECK(floats(whole.rows[1]) == std::vector<float>{3, 4});
  const Read bare = read_all("a.csv", "1,2\n3,4\n", {0, false});
  REQUIRE(bare.rows.size() == 2);
  CHECK(floats(bare.rows[0]) == std::vector<float>{1, 2});
}

TEST_CASE("vecctl CSV: what does not fit its first line is refused with its line") {
  struct Case {
    const char* text;
    const char* where;
  };
  for (const Case& wrong :
       {Case{"", "a.csv"}, Case{"id,title\n1,a\n", ":1:"}, Case{"id,v0,v2\n1,2,3\n", ":1:"},
        Case{"vector,v0\n1,2\n", ":1:"}, Case{"v0,v1\n1\n", ":2:"}, Case{"v0\n1\n1,2\n", ":3:"},
        Case{"v0\nx\n", ":2:"}, Case{"v0\n\"1\n", ":2:"},
        Case{"id,v0\n99999999999999999999,1\n", ":2:"}, Case{"v0\n1 2\n", ":2:"}}) {
    CAPTURE(wrong.text);
    const Read read = read_all("a.csv", wrong.text);
    CHECK(read.status.code() == StatusCode::invalid_argument);
    CHECK(read.status.message().find(wrong.where) != std::string::npos);
  }
  const std::string open = "v0\n\"" + std::string(kLineBytesMax / 2, '\n');
  CHECK(read_all("a.csv", open + std::string(kLineBytesMax / 2, '\n')).status.code() ==
        StatusCode::invalid_argument);
}

TEST_CASE("vecctl readers: random changes to good files never give more than rows or an error") {
  const std::uint64_t seed = 20'261'121;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::string vecs;
  put(vecs, std::uint32_t{2});
  vecs += body_of({1, 2});
  const std::vector<std::pair<std::string, std::string>> files = {
      {"a.npy", npy(header_of("<f4", "(2, 3)"), body_of({1, 2, 3, 4, 5, 6}))},
      {"a.fvecs", vecs + vecs},
      {"a.jsonl", "{\"id\": 1, \"vector\": [1, 2], \"payload\": {\"a\": [1, \"x\"]}}\n"},
      {"a.csv", "id,v0,v1,title\n1,2,3,\"a\"\"b\"\n"}};
  for (int i = 0; i < 400; ++i) {
    auto [name, bytes] = files[random() % files.size()];
    for (std::uint64_t changes = random() % 4; changes-- > 0;) {
      const std::size_t at = random() % bytes.size();
      if (random() % 3 == 0) {
        bytes.resize(at + 1);
      } else {
        bytes[at] = static_cast<char>(random());
      }
    }
    const Read read = read_all(name, bytes);
    CHECK(read.rows.size() <= 4);
    for (const RowInput& row : read.rows) CHECK(row.vector.dim <= 65'536);
  }
}

TEST_CASE("vecctl readers: a batch closes at its rows, and again at its bytes") {
  const TemporaryFolder folder;
  std::ofstream(folder.at("a.npy"), std::ios::binary)
      << npy(header_of("<f4", "(100, 65536)"), std::string(std::size_t{100} * 65'536 * 4, '\0'));
  auto reader = open_rows(folder.at("a.npy"), FileFormat::npy);
  REQUIRE(reader.ok());
  RowBatch batch;
  CHECK(*(*reader)->read(3, batch));
  CHECK(batch.size() == 3);
  batch.clear();
  CHECK(*(*reader)->read(1'000, batch));
  CHECK(batch.size() == kBatchBytesTarget / (65'536 * 4));
  CHECK((*reader)->bytes_read() < (*reader)->bytes_total());
}

TEST_CASE("vecctl readers: a file that is not there, and one that is a folder") {
  const TemporaryFolder folder;
  CHECK(open_rows(folder.at("a.csv"), FileFormat::csv).status().code() == StatusCode::not_found);
  CHECK(open_rows(folder.path(), FileFormat::npy).status().code() == StatusCode::invalid_argument);
  CHECK(format_of("x.tar.jsonl") == FileFormat::json_lines);
  CHECK_FALSE(format_of("x.parquet").has_value());
  CHECK_FALSE(format_of("x").has_value());
}

}  // namespace
}  // namespace vecserve::vecctl
