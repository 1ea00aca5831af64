//! Where an address is and who announces it, from databases in the `MaxMind` DB format that the user has.
//!
//! A database of cities or of countries fills the fields of places, one of autonomous systems fills `ip.src.asnum`. An
//! address that they do not have is nowhere: texts are empty, the number is 0.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::Reader;
use serde::Deserialize;

use crate::table::FieldId;

/// A database, held in memory.
pub struct Database(Reader<Vec<u8>>);

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.kind()).finish()
    }
}

impl Database {
    /// Reads a database. The error says what is wrong with it.
    pub fn read(file: Vec<u8>) -> Result<Self, String> {
        Reader::from_source(file).map(Self).map_err(|error| error.to_string())
    }

    /// What it calls itself, such as `GeoLite2-City`.
    pub fn kind(&self) -> &str {
        &self.0.metadata().database_type
    }

    /// Whether it knows of places.
    pub fn has_places(&self) -> bool {
        ["City", "Country", "Enterprise"].iter().any(|kind| self.kind().contains(kind))
    }

    /// Whether it knows of autonomous systems.
    pub fn has_autonomous_systems(&self) -> bool {
        ["ASN", "ISP", "Enterprise"].iter().any(|kind| self.kind().contains(kind))
    }

    /// What it has of an address; nothing where it does not have it, or not in the form that is looked for.
    fn look_up<'d, T: Deserialize<'d> + Default>(&'d self, address: IpAddr) -> T {
        self.0.lookup(address).and_then(|found| found.decode()).ok().flatten().unwrap_or_default()
    }
}

/// The databases in effect.
#[derive(Clone, Debug, Default)]
pub struct Geo {
    /// Of cities or countries.
    pub places: Option<Arc<Database>>,
    /// Of autonomous systems.
    pub autonomous_systems: Option<Arc<Database>>,
}

impl Geo {
    /// The code of the country of an address; empty where it is not known.
    pub fn country(&self, address: IpAddr) -> &str {
        let record: OnlyCountry<'_> =
            self.places.as_ref().map(|database| database.look_up(address)).unwrap_or_default();
        record.country.iso_code
    }

    /// What events keep of where an address is.
    pub fn locate(&self, address: IpAddr) -> Location {
        let place = self.look_up(address);
        Location {
            asnum: place.asnum as u32,
            organization: place.organization.to_owned(),
            country: place.country.to_ascii_lowercase(),
            region_code: place.region_code.to_owned(),
            city: place.city.to_owned(),
            latitude: place.lat,
            longitude: place.lon,
        }
    }

    /// What is known of an address.
    pub(crate) fn look_up(&self, address: IpAddr) -> Place<'_> {
        let system: System<'_> =
            self.autonomous_systems.as_ref().map(|database| database.look_up(address)).unwrap_or_default();
        let record: Record<'_> = self.places.as_ref().map(|database| database.look_up(address)).unwrap_or_default();
        let country = record.country.iso_code;
        let region = |at: usize| record.subdivisions.get(at).copied().unwrap_or_default();
        let iso = |at: usize| match region(at).iso_code {
            code if code.is_empty() || country.is_empty() => String::new(),
            code => format!("{country}-{code}"),
        };
        let degrees = |degrees: Option<f64>| degrees.map(|degrees| degrees.to_string()).unwrap_or_default();
        Place {
            asnum: i64::from(system.autonomous_system_number),
            organization: system.autonomous_system_organization,
            city: record.city.names.en,
            continent: record.continent.code,
            country,
            is_in_european_union: record.country.is_in_european_union,
            lat: degrees(record.location.latitude),
            lon: degrees(record.location.longitude),
            metro_code: record.location.metro_code.map(|code| code.to_string()).unwrap_or_default(),
            postal_code: record.postal.code,
            region: region(0).names.en,
            region_code: region(0).iso_code,
            subdivision_1: iso(0),
            subdivision_2: iso(1),
            timezone: record.location.time_zone,
        }
    }
}

/// Where an address is, as events keep it; what is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The number of the autonomous system; 0 if unknown.
    pub asnum: u32,
    /// Who runs it.
    pub organization: String,
    /// The country, two small letters.
    pub country: String,
    /// Its first subdivision.
    pub region_code: String,
    /// The city, in English.
    pub city: String,
    /// Degrees.
    pub latitude: String,
    /// Degrees.
    pub longitude: String,
}

/// What is known of an address, named as the fields are.
#[derive(Debug)]
pub(crate) struct Place<'g> {
    pub asnum: i64,
    pub organization: &'g str,
    pub city: &'g str,
    pub continent: &'g str,
    pub country: &'g str,
    pub is_in_european_union: bool,
    pub lat: String,
    pub lon: String,
    pub metro_code: String,
    pub postal_code: &'g str,
    pub region: &'g str,
    pub region_code: &'g str,
    pub subdivision_1: String,
    pub subdivision_2: String,
    pub timezone: &'g str,
}

impl Place<'_> {
    /// The value of a String field, `None` for any other.
    pub fn text(&self, field: FieldId) -> Option<&str> {
        Some(match field {
            FieldId::SourceCity => self.city,
            FieldId::SourceContinent => self.continent,
            FieldId::SourceCountry => self.country,
            FieldId::SourceLatitude => &self.lat,
            FieldId::SourceLongitude => &self.lon,
            FieldId::SourceMetroCode => &self.metro_code,
            FieldId::SourcePostalCode => self.postal_code,
            FieldId::SourceRegion => self.region,
            FieldId::SourceRegionCode => self.region_code,
            FieldId::SourceSubdivision1IsoCode => &self.subdivision_1,
            FieldId::SourceSubdivision2IsoCode => &self.subdivision_2,
            FieldId::SourceTimezoneName => self.timezone,
            _ => return None,
        })
    }
}

/// Where an address is of which nothing is known.
pub(crate) static NOWHERE: Place<'static> = Place {
    asnum: 0,
    organization: "",
    city: "",
    continent: "",
    country: "",
    is_in_european_union: false,
    lat: String::new(),
    lon: String::new(),
    metro_code: String::new(),
    postal_code: "",
    region: "",
    region_code: "",
    subdivision_1: String::new(),
    subdivision_2: String::new(),
    timezone: "",
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct System<'g> {
    autonomous_system_number: u32,
    autonomous_system_organization: &'g str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record<'g> {
    #[serde(borrow)]
    city: City<'g>,
    #[serde(borrow)]
    continent: Continent<'g>,
    #[serde(borrow)]
    country: Country<'g>,
    #[serde(borrow)]
    location: Coordinates<'g>,
    #[serde(borrow)]
    postal: Postal<'g>,
    #[serde(borrow)]
    subdivisions: Vec<Subdivision<'g>>,
}

/// What of a record is read where nothing else is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OnlyCountry<'g> {
    #[serde(borrow)]
    country: Country<'g>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Names<'g> {
    en: &'g str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct City<'g> {
    #[serde(borrow)]
    names: Names<'g>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Continent<'g> {
    code: &'g str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Country<'g> {
    iso_code: &'g str,
    is_in_european_union: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Coordinates<'g> {
    latitude: Option<f64>,
    longitude: Option<f64>,
    metro_code: Option<u16>,
    time_zone: &'g str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Postal<'g> {
    code: &'g str,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Subdivision<'g> {
    iso_code: &'g str,
    #[serde(borrow)]
    names: Names<'g>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmdb;

    fn geo() -> Geo {
        let read = |file| Some(Arc::new(Database::read(file).unwrap()));
        let partial = mmdb::Data::Map(vec![("country", mmdb::Data::Map(vec![("iso_code", mmdb::Data::Text("FR"))]))]);
        Geo {
            places: read(mmdb::database(
                "GeoLite2-City",
                &[
                    ("192.0.2.0/25", mmdb::city("GB", false, "London")),
                    ("2001:db8::/32", partial),
                    ("198.51.100.0/24", mmdb::Data::Map(vec![("country", mmdb::Data::Text("of another form"))])),
                ],
            )),
            autonomous_systems: read(mmdb::database(
                "GeoLite2-ASN",
                &[("192.0.2.0/24", mmdb::autonomous_system(64_496))],
            )),
        }
    }

    #[test]
    fn an_address_is_where_the_databases_have_it() {
        let geo = geo();
        let place = geo.look_up("192.0.2.7".parse().unwrap());
        assert_eq!(
            (place.asnum, place.city, place.continent, place.country, place.is_in_european_union),
            (64_496, "London", "EU", "GB", false)
        );
        assert_eq!((&*place.lat, &*place.lon, &*place.metro_code), ("51.5142", "-0.0931", "635"));
        assert_eq!((place.postal_code, place.region, place.region_code), ("EC2V", "England", "ENG"));
        assert_eq!((&*place.subdivision_1, &*place.subdivision_2), ("GB-ENG", "GB-SWK"));
        assert_eq!(place.timezone, "Europe/London");
    }

    #[test]
    fn what_a_database_does_not_have_is_empty() {
        let geo = geo();
        let looked_up = |address: &str| {
            let place = geo.look_up(address.parse().unwrap());
            (place.asnum, place.country, place.city, place.subdivision_1, place.lat)
        };
        let nowhere = (0, "", "", String::new(), String::new());
        assert_eq!(looked_up("192.0.2.200"), (64_496, "", "", String::new(), String::new()));
        assert_eq!(looked_up("2001:db8::1"), (0, "FR", "", String::new(), String::new()));
        assert_eq!(looked_up("203.0.113.1"), nowhere);
        assert_eq!(looked_up("198.51.100.1"), nowhere, "a record of another form is none");
        assert_eq!(Geo::default().look_up("192.0.2.7".parse().unwrap()).country, "");
    }

    #[test]
    fn an_event_keeps_where_an_address_is() {
        let expected = Location {
            asnum: 64_496,
            organization: "Example Networks".into(),
            country: "gb".into(),
            region_code: "ENG".into(),
            city: "London".into(),
            latitude: "51.5142".into(),
            longitude: "-0.0931".into(),
        };
        assert_eq!(geo().locate("192.0.2.7".parse().unwrap()), expected);
        assert_eq!(geo().locate("203.0.113.1".parse().unwrap()), Location::default());
    }

    #[test]
    fn a_database_says_what_it_has() {
        let kind = |kind| Database::read(mmdb::database(kind, &[])).unwrap();
        let knows = |database: Database| (database.has_places(), database.has_autonomous_systems());
        assert_eq!(knows(kind("DBIP-Country-Lite")), (true, false));
        assert_eq!(knows(kind("GeoLite2-ASN")), (false, true));
        assert_eq!(knows(kind("GeoIP2-Anonymous-IP")), (false, false));
        assert!(Database::read(b"no database".to_vec()).is_err());
        let whole = mmdb::database("GeoLite2-ASN", &[("192.0.2.0/24", mmdb::autonomous_system(64_496))]);
        assert!(Database::read(whole[..whole.len() - 20].to_vec()).is_err());
    }
}
