use xetkit_codec::crc64::append;

/// The check value of the catalogue of parametrised CRC algorithms.
#[test]
fn check_value() {
    assert_eq!(append(0, b"123456789"), 0xae8b_1486_0a79_9888);
    assert_eq!(append(0, b""), 0);
}

#[test]
fn goes_on_from_anywhere() {
    let data: Vec<u8> = (0..1000u32).map(|value| (value * value >> 3) as u8).collect();
    let whole = append(0, &data);
    for cut in [0, 1, 15, 16, 17, 500, 999, 1000] {
        assert_eq!(append(append(0, &data[..cut]), &data[cut..]), whole, "cut at {cut}");
    }
}
