//! Protobuf written by hand: messages exactly as a test wants them, also wrong ones.

/// A message in the making; fields come out in the order they are added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proto(pub(crate) Vec<u8>);

impl Proto {
    pub(crate) fn varint(mut self, number: u32, n: u64) -> Proto {
        self.tag(number, 0);
        self.push_varint(n);
        self
    }

    pub(crate) fn int64(self, number: u32, n: i64) -> Proto {
        self.varint(number, n.cast_unsigned())
    }

    pub(crate) fn sint64(self, number: u32, n: i64) -> Proto {
        self.varint(number, zigzag(n))
    }

    pub(crate) fn double(mut self, number: u32, v: f64) -> Proto {
        self.tag(number, 1);
        self.0.extend_from_slice(&v.to_bits().to_le_bytes());
        self
    }

    pub(crate) fn bytes(mut self, number: u32, bytes: impl AsRef<[u8]>) -> Proto {
        let bytes = bytes.as_ref();
        self.tag(number, 2);
        self.push_varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn message(self, number: u32, message: Proto) -> Proto {
        self.bytes(number, message.0)
    }

    /// Repeated numbers in one field; nothing when there is none.
    pub(crate) fn packed(self, number: u32, numbers: impl IntoIterator<Item = u64>) -> Proto {
        let mut packed = Proto::default();
        numbers.into_iter().for_each(|n| packed.push_varint(n));
        if packed.0.is_empty() { self } else { self.bytes(number, packed.0) }
    }

    pub(crate) fn packed_sint64(self, number: u32, numbers: impl IntoIterator<Item = i64>) -> Proto {
        self.packed(number, numbers.into_iter().map(zigzag))
    }

    pub(crate) fn packed_doubles(self, number: u32, numbers: &[f64]) -> Proto {
        let packed: Vec<u8> = numbers.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect();
        if packed.is_empty() { self } else { self.bytes(number, packed) }
    }

    fn tag(&mut self, number: u32, wire_type: u64) {
        self.push_varint(u64::from(number) << 3 | wire_type);
    }

    fn push_varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}
