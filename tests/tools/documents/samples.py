"""Files made by hand: small real PDFs, and bombs that look small."""

import zlib
from io import BytesIO


def pdf_of(*pages: str, stream: bytes | None = None) -> bytes:
    """A PDF of one line of text per page; with `stream`, every page shows that content instead."""
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for words in pages:
        shown = words.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in shown.split("\n"))
        content = stream or zlib.compress(f"BT /F1 12 Tf 72 720 Td {lines}ET".encode("latin-1"))
        objects.append(
            b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(content), content)
        )
        kids.append(len(objects) + 1)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (
        len(kids),
        b" ".join(b"%d 0 R" % kid for kid in kids),
    )
    file = BytesIO()
    file.write(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(file.tell())
        file.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = file.tell()
    file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    file.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    file.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return file.getvalue()


def locked(pdf: bytes, password: str) -> bytes:
    """The same PDF, encrypted; an empty password only forbids."""
    import pypdf

    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    file = BytesIO()
    writer.write(file)
    return file.getvalue()


def bomb() -> bytes:
    """A content stream of 100 kB that unpacks to 100 MB."""
    return zlib.compress(b"BT (x) Tj ET " + b" " * 100_000_000, 9)
